--- @include header

-- What runs: priority:id -> fence. The leased set is never larger than all slots of all workers.
local function running_fences(q)
  local found = {}
  for _, member in ipairs(redis.call('ZRANGE', q.leased, 0, -1)) do
    local fence, field = string.match(member, '^(%d+):(.*)$')
    found[field] = tonumber(fence)
  end
  return found
end

-- Where a live job is.
-- reply  'failed', died at | 'running', fence | 'scheduled', due | 'ready'; a parked one is 'ready' too
-- `fences`: what running_fences gave, if it was asked for many jobs.
local function place_of(q, id, record, fences)
  local died = redis.call('ZSCORE', q.dead, id)
  if died then
    return 'failed', tonumber(died)
  end
  local field = priority_of(record) .. ':' .. id
  local due = redis.call('ZSCORE', q.scheduled, field)
  if due then
    return 'scheduled', tonumber(due)
  end
  if fences then
    return fences[field] and 'running' or 'ready', fences[field] or 0
  end
  for _, member in ipairs(redis.call('ZRANGE', q.leased, 0, -1)) do
    local fence, rest = string.match(member, '^(%d+):(.*)$')
    if rest == field then
      return 'running', tonumber(fence)
    end
  end
  return 'ready', 0
end
