-- A new earliest due time: whoever kept the queue's timer has set it too late. Dropping the keeper and ringing makes
-- the next claim set it anew. `earliest` is the due time before this script wrote, or nil.
local function reset_timer(q, earliest, due)
  if due and (not earliest or due < earliest) then
    redis.call('HDEL', q.cfg, 'keeper', 'keeper_until')
    ring(q)
  end
end

local function earliest_due(q)
  local first = redis.call('ZRANGE', q.scheduled, 0, 0, 'WITHSCORES')
  return tonumber(first[2])
end
