-- prune: forget the dead that are too old, and the oldest of too many; and what is left of groups that are empty, of
-- deletions that can't be undone any more, of unique keys that no job holds, and of tenants without figures.
--- @args keep_ms: ms, max_dead: int, limit: int
-- keep_ms  how long a dead job is kept    limit  how many to forget at most
--- @reply forgotten, repaired
-- forgotten  how many of the dead    repaired  how many slots of gates were counted wrongly
-- cost     O(log n) a job and a tenant, O(1) a group and a unique key, LOOKED_AT of these and of tenants at most
--- @include clock
--- @include header
--- @include dead
--- @include forget
--- @include deleted
--- @include holders
--- @include audit

-- A queue with many groups keeps no empty ones.
local FEW_GROUPS = 400

-- The empty groups of which no job has died for long.
local function old_groups(now)
  local last, old = groups_key(q, 'last'), {}
  local is_full = whole_in(redis.pcall('ZCARD', last)) > FEW_GROUPS
  local found = redis.pcall('ZRANGEBYSCORE', last, '-inf', is_full and '+inf' or '(' .. now - GROUP_KEEP_MS)
  for _, which in ipairs(found.err and {} or found) do
    if redis.call('EXISTS', group_key(q, which)) == 0 then
      old[#old + 1] = which
    end
  end
  return old
end

-- How many unique keys, and how many tenants, are looked at in one go.
local LOOKED_AT = 1000

-- The next cursor, and some unique keys that their jobs don't hold any more.
local function keys_left_behind(now)
  if redis.call('EXISTS', q.unique) == 0 then
    return nil, {}
  end
  local cursor, left = redis.call('HGET', q.cfg, 'unique_scan') or '0', {}
  local found = redis.pcall('HSCAN', q.unique, string.match(cursor, '^%d+$') or '0', 'COUNT', LOOKED_AT)
  for n = 1, found.err and 0 or #found[2], 2 do
    local id, until_ms = read_holder(found[2][n + 1])
    local standing = id and until_ms <= now and read_stored(q, found[2][n], found[2][n + 1]).standing
    if not id or standing == 'completed' or standing == 'void' then
      left[#left + 1] = found[2][n]
    end
  end
  return found[1], left
end

-- The tenants whose figures have expired, and of whom no job is dead.
local function tenants_left_behind(now)
  local left, before = {}, math.floor((now - HISTORY_KEEP_MS) / MINUTE_MS) - 1
  local found = redis.pcall('ZRANGEBYSCORE', q.tenant_ends, '-inf', before, 'LIMIT', 0, LOOKED_AT)
  for _, tenant in ipairs(found.err and {} or found) do
    if redis.call('EXISTS', tenant_dead_key(q, tenant)) == 0 then
      left[#left + 1] = tenant
    end
  end
  return left
end

-- The deleted jobs whose records have expired.
local function gone_for_good()
  local gone = {}
  for _, id in ipairs(redis.call('ZRANGE', q.deleted, 0, limit - 1)) do
    if redis.call('EXISTS', deleted_job_key(q, id)) == 0 then
      gone[#gone + 1] = id
    end
  end
  return gone
end

local now = now_ms(q)
local old, gone = old_groups(now), limit > 0 and gone_for_good() or {}
local cursor, keys = keys_left_behind(now)
local tenants_left = tenants_left_behind(now)
local surplus = math.max(redis.call('ZCOUNT', q.dead, '-inf', now - keep_ms), redis.call('ZCARD', q.dead) - max_dead)
local doomed = math.max(math.min(limit, surplus), 0)
redis.call('HLEN', q.deletions)
local flow = redis.call('HEXISTS', q.cfg, 'flow') == 1 and audit(q, now) or nil
if doomed > 0 then
  local ids, tenants, headers = redis.call('ZRANGE', q.dead, 0, doomed - 1), {}, {}
  for i, id in ipairs(ids) do
    local header = redis.pcall('GETRANGE', job_key(q, id), 0, MAX_HEADER - 1)
    headers[i] = type(header) == 'string' and header ~= '' and header
    tenants[i] = headers[i] and tenant_in(header) or ''
  end
  for _, key in ipairs(keys_left(q, ids, headers, true)) do
    keys[#keys + 1] = key
  end
  exhume(q, ids, tenants)
  forget_all(q, ids)
end
forget_deleted(q, gone)
forget_groups(q, old)
if #tenants_left > 0 then
  redis.pcall('ZREM', q.tenant_ends, unpack(tenants_left))
end
if cursor then
  redis.pcall('HSET', q.cfg, 'unique_scan', cursor)
  remove_fields(q.unique, keys)
end
if flow then
  begin_writes(q)
  write_audit(q, flow)
end
return {doomed, flow and flow.repaired or 0}
