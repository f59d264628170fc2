-- schedule_move: pause or resume a schedule.
--- @args id, next_tick
-- next_tick   its next_tick tick from now on, '' to pause it; one that is not paused keeps its own
-- reply  1, or 0 if there is none
-- cost   O(log n)
if redis.call('HEXISTS', q.schedules, 'd:' .. id) == 0 then
  return 0
end
if next_tick == '' then
  redis.call('ZREM', q.ticks, id)
else
  redis.call('ZADD', q.ticks, 'NX', whole_in(next_tick), id)
end
return 1
