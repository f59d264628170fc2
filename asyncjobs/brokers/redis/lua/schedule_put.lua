-- schedule_put: make a schedule known, or change it; one that is known with the same data goes on as it was.
--- @args id, data, next_tick
-- next_tick   its next_tick tick; one that is paused stays so
-- reply  1 if it is new or was changed
-- cost   O(log n)
local before = redis.call('HGET', q.schedules, 'd:' .. id)
if before == data then
  return 0
end
local is_paused = before and not redis.call('ZSCORE', q.ticks, id)
redis.call('HSET', q.schedules, 'd:' .. id, data)
if not is_paused then
  redis.call('ZADD', q.ticks, next_tick, id)
end
return 1
