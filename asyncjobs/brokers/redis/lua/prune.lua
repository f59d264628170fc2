-- prune: forget the dead that are too old, and the oldest of too many.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 ms that a dead job is kept   3 how many are kept   4 how many to forget at most
-- reply  how many were forgotten
-- cost   O(log n) a job
--- @include queue
--- @include clock
--- @include header
--- @include dead
--- @include forget
local q = open_queue(1, ARGV[1])
local most = tonumber(ARGV[4])
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
local old = redis.call('ZCOUNT', q.dead, '-inf', now - tonumber(ARGV[2]))
local doomed = math.min(most, math.max(old, redis.call('ZCARD', q.dead) - tonumber(ARGV[3])))
if doomed <= 0 then
  return 0
end
local ids, tenants = redis.call('ZRANGE', q.dead, 0, doomed - 1), {}
for i, id in ipairs(ids) do
  tenants[i] = tenant_in(redis.call('GETRANGE', job_key(q, id), 0, HEADER_MOST - 1))
end
exhume(q, ids, tenants)
forget_all(q, ids)
return doomed
