-- schedule_put: make a schedule known, or change it; one that is known with the same data goes on as it was.
--- @args id, data, next_tick: int
-- next_tick   its next_tick tick; one that is paused stays so
-- reply  1 if it is new or was changed
-- cost   O(log n)
local before = redis.call('HGET', q.schedules, 'd:' .. id)
if before == data then
  return 0
end
local tick = redis.call('ZSCORE', q.ticks, id)
redis.call('HSET', q.schedules, 'd:' .. id, data)
if tick or not before then
  redis.call('ZADD', q.ticks, next_tick, id)
end
return 1
