-- schedule_list: all schedules of the queue.
-- KEYS   the fixed keys of the queue, schedules, ticks
-- ARGV   1 base
-- reply  {now, {field, value, …} of schedules, {id, next tick, …}}
-- cost   O(schedules)
--- @include queue
--- @include clock
--- @include schedules
local q = open_queue(1, ARGV[1])
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
return {now, redis.call('HGETALL', schedules), redis.call('ZRANGE', ticks, 0, -1, 'WITHSCORES')}
