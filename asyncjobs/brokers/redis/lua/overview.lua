-- overview: the figures of queues.
--- @reply now_ms, held, ready, parked, scheduled, running, dead, tried, oldest_id, oldest_record, stats
-- held    the labels that are held, packed (include/parking.lua), '' for none
-- ready   by priority (4)    oldest_id, oldest_record  '' if nothing is ready    stats  {counter, number, …}
-- reply   a list of those, one a queue
-- cost    O(names parked + histogram buckets) a queue
--- @include clock
--- @include parking
local function overview(q)
  local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held', 'gone:0', 'gone:1', 'gone:2', 'gone:3', 'gone:parked')
  local ready, oldest = {}, ''
  for priority = 0, 3 do
    ready[priority + 1] = redis.call('LLEN', q.ready[priority]) - (tonumber(cfg[priority + 3]) or 0)
    local first = redis.call('LINDEX', q.ready[priority], 0)
    -- Our ids sort by time; where a sender chose another form, this is an estimate.
    if first and (oldest == '' or first < oldest) then
      oldest = first
    end
  end
  local parked = -(tonumber(cfg[7]) or 0)
  for _, label in ipairs(redis.call('HKEYS', q.parked)) do
    parked = parked + redis.call('LLEN', parked_jobs_key(q, label))
  end
  return {
    shifted_now(cfg[1]), cfg[2] or '', ready, parked,
    redis.call('ZCARD', q.scheduled), redis.call('ZCARD', q.leased), redis.call('ZCARD', q.dead),
    redis.call('HLEN', q.tries), oldest, oldest ~= '' and redis.call('GET', job_key(q, oldest)) or '',
    redis.call('HGETALL', q.stats),
  }
end

local reply = {}
for block = 1, QUEUES do
  reply[block] = overview(queue(block))
end
return reply
