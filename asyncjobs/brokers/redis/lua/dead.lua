-- The dead letter queue, and beside it the dead of each tenant: the same scores, only jobs that have a tenant.
local function dead_of(q, tenant)
  return q.base .. 'dead: ' .. tenant
end

local function bury(q, now, id, tenant)
  redis.call('ZADD', q.dead, now, id)
  if tenant ~= '' then
    redis.call('ZADD', dead_of(q, tenant), now, id)
  end
end

local function exhume(q, id, tenant)
  redis.call('ZREM', q.dead, id)
  if tenant ~= '' then
    redis.call('ZREM', dead_of(q, tenant), id)
  end
end
