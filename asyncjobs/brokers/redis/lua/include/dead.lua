-- The dead letter queue, and beside it the dead of each tenant: the same scores, only jobs that have a tenant.
local function bury(q, now, id, tenant)
  redis.call('ZADD', q.dead, now, id)
  if tenant ~= '' then
    redis.pcall('ZADD', tenant_dead_key(q, tenant), now, id)
  end
end

-- Takes jobs out; `tenants` stand in the order of `ids`, '' for none.
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
  redis.call('ZREM', q.dead, unpack(ids))
  for tenant, own in pairs(by_tenant) do
    redis.pcall('ZREM', tenant_dead_key(q, tenant), unpack(own))
  end
end
