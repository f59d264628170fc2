-- tenants: tenants of whom there are figures, those whose figures rose last first.
--- @args minute: int, tenant, limit: int
-- minute, tenant  those behind which they begin, '' for the first ones
-- reply  {tenant, minute, …}
-- cost   O(log n + limit)
--- @include rank
local start = 0
if tenant ~= '' then
  start = redis.call('ZCARD', q.tenant_ends) - rank_of(q.tenant_ends, minute, tenant)
end
return redis.call('ZREVRANGE', q.tenant_ends, start, start + limit - 1, 'WITHSCORES')
