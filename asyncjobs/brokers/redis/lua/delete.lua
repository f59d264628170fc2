-- delete: forget a job that no longer runs or waits: one of the dead letter queue, or the record of an ended one.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 id
-- reply  1, or 0 if there is no such job, or it still waits or runs (cancel it first)
-- cost   O(log n)
--- @include queue
--- @include header
local q = open_queue(1, ARGV[1])
local id = ARGV[2]
local record = redis.call('GET', job_key(q, id))
local is_dead = redis.call('ZSCORE', q.dead, id)
if not record or not (is_dead or (is_readable(record) and is_ended(record))) then
  return 0
end
redis.call('ZREM', q.dead, id)
redis.call('HDEL', q.tries, id)
redis.call('DEL', job_key(q, id))
return 1
