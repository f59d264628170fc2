--- @include header

-- Where a live job is.
-- reply  'failed', died at | 'running', run | 'scheduled', due | 'ready'; a parked one is 'ready' too
-- `run`: its field of the hash `fences`, false for none, if it was read for many jobs.
local function place_of(q, id, record, run)
  local died = redis.call('ZSCORE', q.dead, id)
  if died then
    return 'failed', tonumber(died)
  end
  local due = redis.call('ZSCORE', q.scheduled, priority_of(record) .. ':' .. id)
  if due then
    return 'scheduled', tonumber(due)
  end
  if run == nil then
    run = redis.call('HGET', q.fences, id)
  end
  return run and 'running' or 'ready', run
end
