--- @include header

-- Where a live job is.
-- reply  'failed', died at | 'running', fence | 'scheduled', due | 'ready'; a parked one is 'ready' too
-- `fence`: its field of the hash `fences`, false for none, if it was read for many jobs.
local function place_of(q, id, record, fence)
  local died = redis.call('ZSCORE', q.dead, id)
  if died then
    return 'failed', tonumber(died)
  end
  local due = redis.call('ZSCORE', q.scheduled, priority_of(record) .. ':' .. id)
  if due then
    return 'scheduled', tonumber(due)
  end
  if fence == nil then
    fence = redis.call('HGET', q.fences, id)
  end
  return fence and 'running' or 'ready', whole_in(fence)
end
