-- The dead letter queue, and beside it the dead of each tenant: the same scores, only jobs that have a tenant.
--- @include groups
local function lay(q, died, id, tenant)
  redis.call('ZADD', q.dead, died, id)
  if tenant ~= '' then
    redis.pcall('ZADD', tenant_dead_key(q, tenant), died, id)
  end
end

-- `group`: as core/grouping.py makes it, '' for none; write_groups is for the caller, for many at once.
local function bury(q, now, id, tenant, group)
  lay(q, now, id, tenant)
  enter_group(q, now, id, group)
end

-- Takes jobs out, as the first write of a script; `tenants` stand in the order of `ids`, '' for none.
local function exhume(q, ids, tenants)
  if #ids == 0 then
    return
  end
  local by_tenant = {}
  for i, tenant in ipairs(tenants) do
    if tenant ~= '' then
      by_tenant[tenant] = by_tenant[tenant] or {}
      table.insert(by_tenant[tenant], ids[i])
    end
  end
  local groups = groups_of(q, ids)
  redis.call('ZREM', q.dead, unpack(ids))
  for tenant, own in pairs(by_tenant) do
    redis.pcall('ZREM', tenant_dead_key(q, tenant), unpack(own))
  end
  leave_groups(q, ids, groups)
end
