-- Jobs whose deletion can be undone. Their records stand in `deleted:<id>` and expire there; `deleted` has their ids by
-- the number of their deletion, and `deletions` what else is kept of each: 'died|group|number of its last event|tries',
-- each '' where there is none. So one that has ended has not died.
--- @include dead
--- @include fields
--- @include forget

-- Moves jobs out of their places, as the first write of a script. `deaths` has false for one that has ended.
local function keep_deleted(q, ids, deaths, keep_ms, deletion, tenants)
  local groups, tries, numbers = groups_of(q, ids), values_of(q.tries, ids), values_of(q.numbers, ids)
  local lasts = {}
  for n, id in ipairs(ids) do
    local left = redis.call('PTTL', job_key(q, id))
    lasts[n] = left > 0 and math.min(left, keep_ms) or keep_ms
  end
  redis.call('ZCARD', q.deleted)
  redis.call('HLEN', q.deletions)
  exhume(q, ids, tenants)
  forget_live(q, ids)
  for n, id in ipairs(ids) do
    redis.call('RENAME', job_key(q, id), deleted_job_key(q, id))
    redis.call('PEXPIRE', deleted_job_key(q, id), lasts[n])
    local kept = {deaths[n] or '', groups[n] or '', numbers[n] or '', tries[n] or ''}
    redis.call('HSET', q.deletions, id, table.concat(kept, '|'))
    redis.call('ZADD', q.deleted, deletion, id)
  end
end

local function forget_deleted(q, ids)
  if #ids > 0 then
    local keys = {}
    for n, id in ipairs(ids) do
      keys[n] = deleted_job_key(q, id)
    end
    redis.call('ZREM', q.deleted, unpack(ids))
    redis.call('HDEL', q.deletions, unpack(ids))
    redis.call('DEL', unpack(keys))
  end
end
