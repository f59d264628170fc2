-- schedule_put: make a schedule known, or change it; one that is known with the same data goes on as it was.
-- KEYS   the fixed keys of the queue, schedules, ticks
-- ARGV   1 base   2 id   3 data   4 next tick
-- reply  1 if it is new or was changed
-- cost   O(log n)
--- @include queue
--- @include schedules
local id = ARGV[2]
local before = redis.call('HGET', schedules, 'd:' .. id)
if before == ARGV[3] then
  return 0
end
local is_paused = before and not redis.call('ZSCORE', ticks, id)
redis.call('HSET', schedules, 'd:' .. id, ARGV[3])
if not is_paused then
  redis.call('ZADD', ticks, ARGV[4], id)
end
return 1
