-- Where a live job is. Needs header.lua.
-- reply  'failed', died at | 'running', fence | 'scheduled', due | 'ready'; a parked one is 'ready' too
local function place_of(q, id, record)
  local died = redis.call('ZSCORE', q.dead, id)
  if died then
    return 'failed', tonumber(died)
  end
  local field = priority_of(record) .. ':' .. id
  local due = redis.call('ZSCORE', q.scheduled, field)
  if due then
    return 'scheduled', tonumber(due)
  end
  -- The leased set is never larger than all slots of all workers.
  for _, member in ipairs(redis.call('ZRANGE', q.leased, 0, -1)) do
    local fence, rest = string.match(member, '^(%d+):(.*)$')
    if rest == field then
      return 'running', tonumber(fence)
    end
  end
  return 'ready', 0
end
