-- prune: forget the dead that are too old, and the oldest of too many; and what is left of groups that are empty and of
-- deletions that can't be undone any more.
--- @args keep_ms: ms, max_dead: int, limit: int
-- keep_ms  how long a dead job is kept    limit  how many to forget at most
-- reply    how many of the dead were forgotten
-- cost     O(log n) a job, O(1) a group
--- @include clock
--- @include header
--- @include dead
--- @include forget
--- @include deleted

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
local surplus = math.max(redis.call('ZCOUNT', q.dead, '-inf', now - keep_ms), redis.call('ZCARD', q.dead) - max_dead)
local doomed = math.max(math.min(limit, surplus), 0)
redis.call('HLEN', q.deletions)
if doomed > 0 then
  local ids, tenants = redis.call('ZRANGE', q.dead, 0, doomed - 1), {}
  for i, id in ipairs(ids) do
    local header = redis.pcall('GETRANGE', job_key(q, id), 0, MAX_HEADER - 1)
    tenants[i] = type(header) == 'string' and tenant_in(header) or ''
  end
  exhume(q, ids, tenants)
  forget_all(q, ids)
end
forget_deleted(q, gone)
forget_groups(q, old)
return doomed
