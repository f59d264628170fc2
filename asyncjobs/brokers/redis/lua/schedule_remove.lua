-- schedule_remove: forget a schedule.
--- @args id
-- reply  1, or 0 if there is none
-- cost   O(log n)
redis.call('HLEN', q.schedules)
redis.call('ZREM', q.ticks, id)
redis.call('HDEL', q.schedules, 'l:' .. id, 'j:' .. id, 's:' .. id, 'k:' .. id)
return redis.call('HDEL', q.schedules, 'd:' .. id)
