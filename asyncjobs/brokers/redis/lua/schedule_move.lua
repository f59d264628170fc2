-- schedule_move: pause, resume or remove a schedule.
-- KEYS   the fixed keys of the queue, schedules, ticks
-- ARGV   1 base   2 id   3 '' to pause, its next tick to resume, '-' to remove
-- reply  1, or 0 if there is none
-- cost   O(log n)
--- @include queue
--- @include schedules
local id, what = ARGV[2], ARGV[3]
if redis.call('HEXISTS', schedules, 'd:' .. id) == 0 then
  return 0
end
if what == '' then
  redis.call('ZREM', ticks, id)
elseif what == '-' then
  redis.call('ZREM', ticks, id)
  redis.call('HDEL', schedules, 'd:' .. id, 'l:' .. id)
elseif not redis.call('ZSCORE', ticks, id) then
  redis.call('ZADD', ticks, what, id)
end
return 1
