-- overview: the figures of queues.
--- @reply now_ms, held, notes, ready, parked, lists, scheduled, overdue, running, dead, tried, tried_now, heads, limit
--- @reply stats, lined, closed_lines
-- held    the labels that are held, packed (include/parking.lua), '' for none
-- notes   of these labels, packed: {since when, by whom, why}, '' for none
-- lists   {label, jobs, since when, …} of parked jobs, most first, MAX_PARKED_SHOWN labels at most
-- ready   by priority (4)    heads  {id, record, …}, the first of each list    stats  {counter, number, …}
-- limit   {that holds, declared, set by hand, by whom, when its rate opens}, as in include/limit.lua, '' for none
-- lined   how many of the ready ones are in lines    closed_lines  how many lines wait for a gate
-- tried_now  how many of the tried ones run
-- reply   a list of those, one a queue
-- cost    O(names parked, by their logarithm, + histogram buckets) a queue; where tried jobs live, O(running); where
--         entries of a list no longer count, O(these), at most 1,000
--- @include clock
--- @include fields
--- @include gone
--- @include leases
--- @include limit
--- @include parking
--- @include gate_figures
local MAX_PASSED, STEP, MAX_LINES, MAX_HEADS = 1000, 50, 1000, 20

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

-- The first ids of lines, those that come first by the order of ids, as the oldest do; of very many lines, not of all.
local function heads_of_lines(q)
  local fields, found = redis.call('HLEN', flow_key(q, 'lines')) <= MAX_LINES
    and redis.call('HKEYS', flow_key(q, 'lines')) or {}, {}
  for _, field in ipairs(fields) do
    found[#found + 1] = redis.call('LINDEX', line_key(q, field), 0) or nil
  end
  table.sort(found)
  return {unpack(found, 1, math.min(#found, MAX_HEADS))}
end

-- How many jobs are parked, and the parked lists.
local function read_lists(q, gone)
  local parked, lists, total = redis.call('HGETALL', q.parked), {}, -gone
  local skips = gone > 0 and gone_counts(q) or {}
  for n = 1, #parked, 2 do
    local length = redis.call('LLEN', parked_jobs_key(q, parked[n]))
    total = total + length
    local count = length - (skips[parked[n]] or 0)
    if count > 0 then
      lists[#lists + 1] = {label = parked[n], count = count, since = whole_in(parked[n + 1])}
    end
  end
  table.sort(lists, function(one, other)
    return one.count > other.count or (one.count == other.count and one.label < other.label)
  end)
  local shown = {}
  for n = 1, math.min(#lists, MAX_PARKED_SHOWN) do
    shown[#shown + 1] = lists[n].label
    shown[#shown + 1] = lists[n].count
    shown[#shown + 1] = lists[n].since
  end
  return total, shown
end

local function limit_shown(cfg, now)
  local limit = cfg[9] and limit_in(cfg[9], cfg[13], now)
  return {cfg[9] or '', cfg[10] or '', cfg[11] or '', cfg[12] or '', limit and opens_at(limit, now, 0) or ''}
end

local function overview(q)
  local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held', 'gone:0', 'gone:1', 'gone:2', 'gone:3', 'gone:parked',
    'held_notes', 'limit', 'limit_declared', 'limit_set', 'limit_by', 'used_until', 'flow', 'lined:0', 'lined:1',
    'lined:2', 'lined:3', 'waits:0', 'waits:1', 'waits:2', 'waits:3')
  local ready, heads, lined, closed_lines = {}, {}, 0, 0
  for priority = 0, 3 do
    local gone = tonumber(cfg[priority + 3]) or 0
    ready[priority + 1] = redis.call('LLEN', q.ready[priority]) - gone
    local first = ready[priority + 1] > 0 and first_ready(q, priority, gone)
    if first then
      heads[#heads + 1] = first
      heads[#heads + 1] = redis.call('GET', job_key(q, first)) or ''
    end
    local count = math.max(0, whole_in(cfg[priority + 15]))
    ready[priority + 1], lined = ready[priority + 1] + count, lined + count
    closed_lines = closed_lines + math.max(0, whole_in(cfg[priority + 19]))
  end
  for _, id in ipairs(cfg[14] and heads_of_lines(q) or {}) do
    heads[#heads + 1] = id
    heads[#heads + 1] = redis.call('GET', job_key(q, id)) or ''
  end
  local parked, lists = read_lists(q, tonumber(cfg[7]) or 0)
  local now = shifted_now(cfg[1])
  local dead, tried = redis.call('ZCARD', q.dead), redis.call('HLEN', q.tries)
  return {
    now, cfg[2] or '', cfg[8] or '', ready, parked, lists,
    redis.call('ZCARD', q.scheduled), redis.call('ZCOUNT', q.scheduled, '-inf', now),
    redis.call('ZCARD', q.leased), dead,
    tried, tried > dead and count_tried_running(q) or 0,
    heads, limit_shown(cfg, now), redis.call('HGETALL', q.stats), lined, closed_lines,
  }
end

local reply = {}
for block = 1, QUEUES do
  reply[block] = overview(queue(block))
end
return reply
