-- prune: forget the dead that are too old, and the oldest of too many.
--- @args keep_ms: ms, max_dead: int, limit: int
-- keep_ms  how long a dead job is kept    limit  how many to forget at most
-- reply    how many were forgotten
-- cost     O(log n) a job
--- @include clock
--- @include header
--- @include dead
--- @include forget
local old = redis.call('ZCOUNT', q.dead, '-inf', now_ms(q) - keep_ms)
local doomed = math.min(limit, math.max(old, redis.call('ZCARD', q.dead) - max_dead))
if doomed <= 0 then
  return 0
end
local ids, tenants = redis.call('ZRANGE', q.dead, 0, doomed - 1), {}
for i, id in ipairs(ids) do
  local header = redis.pcall('GETRANGE', job_key(q, id), 0, MAX_HEADER - 1)
  tenants[i] = type(header) == 'string' and tenant_in(header) or ''
end
exhume(q, ids, tenants)
forget_all(q, ids)
return doomed
