-- retry: a job of the dead letter queue becomes ready again, with all its retries before it and its errors kept.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 id
-- reply  1, or 0 if it isn't in the dead letter queue
-- cost   O(log n)
--- @include queue
--- @include bell
--- @include header
--- @include tries
local q = open_queue(1, ARGV[1])
local id = ARGV[2]
local record = redis.call('GET', job_key(q, id))
if not record or not redis.call('ZSCORE', q.dead, id) then
  return 0
end
local _, _, errors = read_tries(redis.call('HGET', q.tries, id))
redis.call('ZREM', q.dead, id)
redis.call('HSET', q.tries, id, write_tries(0, 0, errors))
redis.call('RPUSH', q.ready[priority_of(record) + 1], id)
ring(q)
return 1
