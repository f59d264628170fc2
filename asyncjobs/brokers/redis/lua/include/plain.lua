-- Most queues have ready and running jobs and nothing else, which one look tells.

-- Whether a queue has jobs that are scheduled or parked, entries that are gone, or jobs that were tried before.
local function has_more_than_ready(q)
  if q.more == nil then
    q.more = redis.call('EXISTS', q.scheduled, q.parked, q.gone, q.tries) > 0
  end
  return q.more
end
