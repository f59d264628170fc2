-- read_events: the events of a job after a number; if more may come, they and the end of the job will be published.
--- @args id, after: int, limit: int
--- @reply is_over, events
-- is_over  1 if no more can come after these    events  {number, event, …}
-- reply    nil if neither the job nor its events are known
-- cost     O(log n + limit)
--- @include header
--- @include waiters
local record = redis.call('GET', job_key(q, id))
local found = redis.call('XRANGE', events_key(q, id), (after + 1) .. '-0', '+', 'COUNT', math.max(limit, 1))
if not record and #found == 0 and redis.call('EXISTS', events_key(q, id)) == 0 then
  return false
end
local events = {}
for _, entry in ipairs(found) do
  events[#events + 1] = tonumber(string.match(entry[1], '^%d+'))
  events[#events + 1] = entry[2][2]
end
local is_over = not record or (is_readable(record) and is_ended(record)) or redis.call('ZSCORE', q.dead, id)
if not is_over then
  watch(q, id, WATCHES_EVENTS)
end
return {is_over and #found < limit and 1 or 0, events}
