-- schedule_list: all schedules of the queue.
--- @reply now_ms, fields, ticks
-- fields  {field, value, …} of the hash of schedules    ticks  {id, next tick, …}; one that is paused is not in it
-- cost    O(schedules)
--- @include clock
return {now_ms(q), redis.call('HGETALL', q.schedules), redis.call('ZRANGE', q.ticks, 0, -1, 'WITHSCORES')}
