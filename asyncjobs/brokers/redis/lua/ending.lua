-- Tells those who await the end of `ids`. `awaited` is what HMGET of the waiters gave for them, read before any write.
local function awaited_ids(q, ids)
  if #ids == 0 or redis.call('EXISTS', q.waiters) == 0 then
    return {}
  end
  local found = {}
  for i, registered in ipairs(redis.call('HMGET', q.waiters, unpack(ids))) do
    if registered then
      found[#found + 1] = ids[i]
    end
  end
  return found
end

local function tell_waiters(q, ids)
  for _, id in ipairs(ids) do
    redis.call('HDEL', q.waiters, id)
    redis.call('PUBLISH', q.base .. 'ended', id)
  end
end

local HISTORY_LENGTH = 1000
local TENANT_HISTORY_LENGTH = 100
local HISTORY_SECONDS = 30 * 24 * 3600

-- `label` is a job name, or a tenant behind a space.
local function add_history(q, label, entries)
  local key = q.base .. 'history:' .. label
  local length = string.sub(label, 1, 1) == ' ' and TENANT_HISTORY_LENGTH or HISTORY_LENGTH
  redis.call('LPUSH', key, unpack(entries, math.max(1, #entries - length + 1)))
  redis.call('LTRIM', key, 0, length - 1)
  redis.call('EXPIRE', key, HISTORY_SECONDS)
end

-- Enters an end that came without a run: `entry` lacks the name, which only a tenant's history needs.
local function enter(histories, name, tenant, entry)
  entry[7] = tenant ~= '' and name or nil
  local packed = cmsgpack.pack(entry)
  histories[name] = histories[name] or {}
  table.insert(histories[name], packed)
  if tenant ~= '' then
    histories[' ' .. tenant] = histories[' ' .. tenant] or {}
    table.insert(histories[' ' .. tenant], packed)
  end
end

local function add_histories(q, histories)
  for label, entries in pairs(histories) do
    add_history(q, label, entries)
  end
end

local MINUTE_SECONDS = 6 * 3600

-- Adds `counts` (field -> number) to the queue's totals and to those of this minute.
local function count(q, now, counts)
  local minute = q.base .. 'stats:' .. math.floor(now / 60000)
  for field, number in pairs(counts) do
    redis.call('HINCRBY', q.stats, field, number)
    if string.sub(field, 1, 2) ~= 'h:' then
      redis.call('HINCRBY', minute, field, number)
    end
  end
  redis.call('EXPIRE', minute, MINUTE_SECONDS)
end

-- The counts of one tenant among `tallies` (tenant -> field -> number), nil for a job that has none.
local function tally_of(tallies, tenant)
  if tenant ~= '' then
    tallies[tenant] = tallies[tenant] or {}
    return tallies[tenant]
  end
end

-- Adds to the counts of the queue and, if there is one, to those of the tenant.
local function add(counts, tally, field, number)
  counts[field] = (counts[field] or 0) + number
  if tally then
    tally[field] = (tally[field] or 0) + number
  end
end

-- Adds `tallies` to the totals of their tenants in this queue, which end with the histories.
local function count_tenants(q, tallies)
  for tenant, counts in pairs(tallies) do
    local key = q.base .. 'stats: ' .. tenant
    for field, number in pairs(counts) do
      redis.call('HINCRBY', key, field, number)
    end
    redis.call('EXPIRE', key, HISTORY_SECONDS)
  end
end
