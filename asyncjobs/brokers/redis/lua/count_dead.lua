-- count_dead: how many jobs are dead, of a tenant or of a group if either is not ''.
--- @args tenant, group, since_ms: int, until_ms: int
-- until_ms  only those that died before, 0 for all
-- reply     how many
-- cost      O(log n)
local key = q.dead
if tenant ~= '' then
  key = tenant_dead_key(q, tenant)
elseif group ~= '' then
  key = group_key(q, group)
end
return redis.call('ZCOUNT', key, since_ms, until_ms > 0 and '(' .. until_ms or '+inf')
