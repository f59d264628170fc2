-- prune: forget the dead that are too old, and the oldest of too many.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 ms that a dead job is kept   3 how many are kept   4 how many to forget at most
-- reply  how many were forgotten
-- cost   O(log n) a job
--- @include queue
--- @include clock
--- @include header
--- @include dead
local q = open_queue(1, ARGV[1])
local most = tonumber(ARGV[4])
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
local old = redis.call('ZCOUNT', q.dead, '-inf', now - tonumber(ARGV[2]))
local doomed = math.min(most, math.max(old, redis.call('ZCARD', q.dead) - tonumber(ARGV[3])))
if doomed <= 0 then
  return 0
end
local ids, keys, by_tenant = redis.call('ZRANGE', q.dead, 0, doomed - 1), {}, {}
for i, id in ipairs(ids) do
  keys[i] = job_key(q, id)
  local tenant = tenant_in(redis.call('GETRANGE', keys[i], 0, HEADER_MOST - 1))
  if tenant ~= '' then
    by_tenant[tenant] = by_tenant[tenant] or {}
    table.insert(by_tenant[tenant], id)
  end
end
redis.call('ZREM', q.dead, unpack(ids))
for tenant, own in pairs(by_tenant) do
  redis.call('ZREM', dead_of(q, tenant), unpack(own))
end
redis.call('HDEL', q.tries, unpack(ids))
redis.call('HDEL', q.numbers, unpack(ids))
redis.call('DEL', unpack(keys))
return doomed
