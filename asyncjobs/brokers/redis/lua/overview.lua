-- overview: the figures of queues.
--- @reply now_ms, held, ready, parked, scheduled, running, dead, tried, tried_now, heads, stats
-- held    the labels that are held, packed (include/parking.lua), '' for none
-- ready   by priority (4)    heads  {id, record, …}, the first of each priority    stats  {counter, number, …}
-- tried_now  how many of the tried ones run
-- reply   a list of those, one a queue
-- cost    O(names parked + histogram buckets) a queue; where tried jobs live, O(running); where entries at the front
--         of a list no longer count, O(these), at most 1,000
--- @include clock
--- @include fields
--- @include gone
--- @include leases
--- @include parking
local MAX_PASSED, STEP = 1000, 50

-- The first id of a ready list whose entry counts, nil if there is none near the front; `gone`: how many don't count.
local function first_ready(q, priority, gone)
  if gone == 0 then
    return redis.call('LINDEX', q.ready[priority], 0)
  end
  local passed = {}
  for start = 0, MAX_PASSED - 1, STEP do
    local ids, fields = redis.call('LRANGE', q.ready[priority], start, start + STEP - 1), {}
    for n, id in ipairs(ids) do
      fields[n] = gone_field(priority, id)
    end
    local skips = values_of(q.gone, fields)
    for n, id in ipairs(ids) do
      passed[id] = (passed[id] or 0) + 1
      if not is_gone(whole_in(skips[n]), passed[id]) then
        return id
      end
    end
  end
end

local function count_tried_running(q)
  local members, ids, count = redis.call('ZRANGE', q.leased, 0, -1), {}, 0
  for n, member in ipairs(members) do
    local _, _, id = read_member(member)
    ids[n] = id
  end
  for _, tries in ipairs(values_of(q.tries, ids)) do
    count = count + (tries and 1 or 0)
  end
  return count
end

local function overview(q)
  local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held', 'gone:0', 'gone:1', 'gone:2', 'gone:3', 'gone:parked')
  local ready, heads = {}, {}
  for priority = 0, 3 do
    local gone = tonumber(cfg[priority + 3]) or 0
    ready[priority + 1] = redis.call('LLEN', q.ready[priority]) - gone
    local first = ready[priority + 1] > 0 and first_ready(q, priority, gone)
    if first then
      heads[#heads + 1] = first
      heads[#heads + 1] = redis.call('GET', job_key(q, first)) or ''
    end
  end
  local parked = -(tonumber(cfg[7]) or 0)
  for _, label in ipairs(redis.call('HKEYS', q.parked)) do
    parked = parked + redis.call('LLEN', parked_jobs_key(q, label))
  end
  local dead, tried = redis.call('ZCARD', q.dead), redis.call('HLEN', q.tries)
  return {
    shifted_now(cfg[1]), cfg[2] or '', ready, parked,
    redis.call('ZCARD', q.scheduled), redis.call('ZCARD', q.leased), dead,
    tried, tried > dead and count_tried_running(q) or 0,
    heads, redis.call('HGETALL', q.stats),
  }
end

local reply = {}
for block = 1, QUEUES do
  reply[block] = overview(queue(block))
end
return reply
