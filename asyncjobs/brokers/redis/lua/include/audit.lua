-- Looks whether the slots of gates are counted right, and forgets what says nothing any more of lines and gates.
--- @include waiting
--- @include rules

-- Counts the slots of gates anew: those of leases that are there, and those that are booked. Returns the slots that no
-- lease has, gate -> how many of its slots are taken for those that are counted wrongly, and how many these differ.
local function recount(q)
  local slots, members, lost, counts = redis.call('HGETALL', flow_key(q, 'slots')), {}, {}, {}
  for n = 1, #slots, 2 do
    members[#members + 1] = slots[n]
  end
  for n, score in ipairs(scores_of(q.leased, members)) do
    if not score then
      lost[#lost + 1] = members[n]
    else
      for gate in string.gmatch(slots[2 * n], '\31([^\31]*)') do
        counts[gate] = (counts[gate] or 0) + 1
      end
    end
  end
  for _, gate in ipairs(redis.call('HKEYS', flow_key(q, 'booked'))) do
    counts[gate] = (counts[gate] or 0) + 1
  end
  local used, wrong, repaired = redis.call('HGETALL', flow_key(q, 'use')), {}, 0
  for n = 1, #used, 2 do
    local count = counts[used[n]] or 0
    counts[used[n]] = nil
    if used[n + 1] ~= tostring(count) then
      wrong[used[n]] = count
      repaired = repaired + math.max(1, math.abs(whole_in(used[n + 1]) - count))
    end
  end
  for gate, count in pairs(counts) do
    wrong[gate], repaired = count, repaired + count
  end
  return lost, wrong, repaired
end

-- Takes away lines that were emptied while they waited: all that have booked a slot, and some of the others.
local function forget_emptied(q, flow)
  local cursor = redis.call('HGET', q.cfg, 'lines_scan') or '0'
  local found = redis.call('HSCAN', flow_key(q, 'lines'), string.match(cursor, '^%d+$') or '0', 'COUNT', MAX_PASSED)
  local states, booked = found[2], redis.call('HVALS', flow_key(q, 'booked'))
  for n, state in ipairs(values_of(flow_key(q, 'lines'), booked)) do
    states[#states + 1], states[#states + 2] = booked[n], state or ''
  end
  for n = 1, #states, 2 do
    local gate, line = string.match(states[n + 1], '^w(.*)$'), line_at(flow, states[n])
    if gate and line and not line.is_let_on and has_no_job(q, line) then
      forget_line(q, flow, line, gate)
      flow.freed[gate] = true
    end
  end
  if found[1] ~= cursor then
    flow.cfg.lines_scan = found[1]
  end
end

-- Plans what is to be written of lines and gates; to be called before the script writes.
local function audit(q, now)
  local lost, wrong, repaired = recount(q)
  local flow = read_flow(q, now)
  flow.no_slots, flow.repaired = lost, repaired
  local names = {}
  for gate in pairs(wrong) do
    names[#names + 1] = gate
  end
  local gates = gates_in(flow, names)
  read_gates(q, flow, gates)
  for _, gate in ipairs(gates) do
    use_gate(gate, wrong[gate.name] - gate.use)
  end
  note_freed(flow, gates)
  forget_emptied(q, flow)
  for _, gate in ipairs(redis.call('ZRANGE', flow_key(q, 'opens'), 0, MAX_PASSED - 1)) do
    flow.freed[gate] = true
  end
  flow.is_any_on = plan_entered(q, flow, true)
  flow.old_closed = {}
  local closed = redis.call('HGETALL', flow_key(q, 'closed'))
  for n = 1, #closed, 2 do
    local till = tonumber(string.match(closed[n + 1], '^%d+ (%d+)$')) or 0
    if till <= now then
      flow.old_closed[#flow.old_closed + 1] = closed[n]
    end
  end
  local least = 1
  for _, weight in ipairs(flow.weighted and redis.call('HVALS', flow_key(q, 'weights')) or {}) do
    least = math.min(least, math.max(1e-9, tonumber(weight) or 1))
  end
  flow.lag = MAX_LAG / least
  is_rung(q)
  redis.call('ZCARD', flow_key(q, 'tat'))
  for priority = 0, 3 do
    redis.call('ZCARD', flow_key(q, 'tags:' .. priority))
  end
  flow.is_idle = redis.call('EXISTS', q.scheduled, q.leased, q.parked, flow_key(q, 'lines')) == 0
    and redis.call('HLEN', flow_key(q, 'slots')) <= #lost
    and redis.call('ZCOUNT', flow_key(q, 'tat'), '(' .. now, '+inf') == 0 and #closed == 2 * #flow.old_closed
  return flow
end

local function write_audit(q, flow)
  write_flow(q, flow)
  if flow.repaired > 0 then
    redis.pcall('HINCRBY', q.stats, 'repaired', flow.repaired)
  end
  redis.call('ZREMRANGEBYSCORE', flow_key(q, 'tat'), '-inf', flow.now)
  in_parts('HDEL', flow_key(q, 'closed'), flow.old_closed)
  for priority = 0, 3 do
    redis.call('ZREMRANGEBYSCORE', flow_key(q, 'tags:' .. priority), '-inf', flow.v[priority] - flow.lag)
  end
  if flow.is_idle then
    redis.call('HDEL', q.cfg, 'flow')
  end
  if flow.is_any_on then
    ring(q)
  end
end
