-- Gates (core/lines.py): what must have room before a job of a line starts.
--   wait:<gate>   sorted set: the fields of lines that wait for it, by MAX_TAG * priority + the tag of their group;
--                 those that have booked without the tag
--   flow:slots    hash: lease -> the key of its line, which says of which gates it has a slot
--   flow:use      hash: gate -> how many of its slots are taken, those that are booked among them
--   flow:booked   hash: gate -> the line that has booked a slot of it     flow:passed  hash: line -> how often it was
--                 tried in vain since it last ran, of lines with several gates
--   flow:tat      sorted set: gate -> the theoretical arrival time of its rate
--   flow:closed   hash: gate -> 'from until', which a job has closed (RateLimited)
--   flow:opens    sorted set: gate for which lines wait -> when its rate allows the next starts, or it is open again
--- @include lines
--- @include limit
--- @include fields
--- @include rules
local MAX_TAG = 4398046511104

local function rule_of(flow, rule)
  local found = flow.limits[rule]
  if found == nil then
    found = flow.rules[rule] and limit_in(flow.rules[rule], nil, flow.now) or false
    flow.limits[rule] = found
  end
  return found
end

-- Reads the gates among `names` that are not known yet.
local function read_gates(q, flow, names)
  local new, rated, gates = {}, {}, flow.gates
  for _, name in ipairs(names) do
    if not gates[name] then
      gates[name] = {name = name, starts = 0, running = 0}
      new[#new + 1] = name
    end
  end
  if not new[1] then
    return
  end
  local used = values_of(flow_key(q, 'use'), new)
  local own = flow.own and values_of(flow_key(q, 'limits'), new) or {}
  local closed, booked = values_of(flow_key(q, 'closed'), new), values_of(flow_key(q, 'booked'), new)
  for n, name in ipairs(new) do
    local gate, numbers = gates[name], own[n] and read_set(own[n])
    local limit
    if flow.new_own and flow.new_own.gate == name then
      numbers = flow.new_own.limit
    end
    if numbers then
      limit = limit_in(numbers, nil, flow.now)
    else
      limit = rule_of(flow, string.match(name, '^[^=]*'))
    end
    gate.use, gate.booked = math.max(0, whole_in(used[n])), booked[n] or nil
    if limit then
      gate.running, gate.step, gate.burst = limit.running, limit.step, limit.burst
      if gate.step then
        rated[#rated + 1] = name
      end
    end
    local from, till = string.match(closed[n] or '', '^(%d+) (%d+)$')
    if from and tonumber(from) <= flow.now and tonumber(till) > flow.now then
      gate.closed_until = tonumber(till)
    end
  end
  local tats = scores_of(flow_key(q, 'tat'), rated)
  for n, name in ipairs(rated) do
    local gate = gates[name]
    local tat = tonumber(tats[n] or 0) or 0
    -- As in limit_in.
    local latest = flow.now + gate.burst * gate.step
    gate.used_until, gate.is_cut = math.min(tat, latest), tat > latest
    gate.starts_left = starts_left(gate, flow.now)
  end
end

-- How many jobs may start through a gate now; `field`: of a line, which may have booked a slot of it.
local function room_at(gate, field)
  if gate.closed_until then
    return 0
  end
  local room = math.huge
  if gate.running > 0 then
    room = gate.running - gate.use
    if gate.booked and gate.booked == field then
      room = room + 1
    end
  end
  return gate.step and math.min(room, gate.starts_left - gate.starts) or room
end

-- When a gate that has no room for its rate, or was closed, has some again; nil for others.
local function moment_of(flow, gate)
  local opens = gate.step and opens_at(gate, flow.now, gate.starts) or nil
  return opens and math.max(opens, gate.closed_until or 0) or gate.closed_until
end

-- The baton is to be passed on at these gates.
local function note_freed(flow, names)
  for _, name in ipairs(names) do
    flow.freed[name] = true
  end
end

local function use_gate(flow, gate, number)
  gate.use = math.max(0, gate.use + number)
  gate.is_changed = true
end

local function give_back(flow, gate)
  gate.booked, gate.is_rebooked = nil, true
  use_gate(flow, gate, -1)
  flow.freed[gate.name] = true
end

-- Closes a gate until a time, which is not before one that it is closed until already.
local function close_gate(q, flow, name, till)
  read_gates(q, flow, {name})
  local gate = flow.gates[name]
  gate.closed_until = math.max(gate.closed_until or 0, till)
  gate.is_closed_now = true
  if flow.kind ~= '2' then
    flow.kind, flow.cfg.flow = '2', '2'
  end
end

-- Gives the slots of leases that end back, and returns the keys of their lines, false or nil for none.
local function free_slots(q, flow, members)
  local keys = values_of(flow_key(q, 'slots'), members)
  local names, counts = {}, {}
  for n, member in ipairs(members) do
    local key = keys[n]
    if key then
      flow.no_slots[#flow.no_slots + 1] = member
      for name in string.gmatch(key, '\31([^\31]*)') do
        if not counts[name] then
          names[#names + 1] = name
        end
        counts[name] = (counts[name] or 0) + 1
      end
    end
  end
  read_gates(q, flow, names)
  for _, name in ipairs(names) do
    use_gate(flow, flow.gates[name], -counts[name])
  end
  note_freed(flow, names)
  return keys
end

-- The lines that wait for a gate, the first `count`: those of before, and those that begin to wait now.
local function first_waiting(q, flow, name, count)
  local found, lines = redis.call('ZRANGE', wait_key(q, name), 0, count - 1, 'WITHSCORES'), {}
  for n = 1, #found, 2 do
    local line = line_at(flow, found[n])
    if line and not line.waits_for then
      line.score = float_in(found[n + 1])
      lines[#lines + 1] = line
    end
  end
  for _, line in ipairs(flow.closings) do
    if line.waits_for == name then
      lines[#lines + 1] = line
    end
  end
  table.sort(lines, function(one, other)
    if one.score ~= other.score then
      return one.score < other.score
    end
    return one.field < other.field
  end)
  return lines
end

-- Lets lines on that wait for the gates in `freed`, as many as there is room; where it is for time to make room, notes
-- when. Returns whether one was let on. This is the last that a script changes before it writes.
local function pass_baton(q, flow)
  local names, is_any_on = {}, false
  if flow.all_wait == 0 then
    return false
  end
  local opened = redis.call('ZRANGEBYSCORE', flow_key(q, 'opens'), '-inf', flow.now, 'LIMIT', 0, MAX_PASSED)
  for _, name in ipairs(opened) do
    flow.freed[name], flow.opens[name] = true, ''
  end
  for name in pairs(flow.freed) do
    names[#names + 1] = name
  end
  table.sort(names)
  read_gates(q, flow, names)
  for _, name in ipairs(names) do
    local gate, count = flow.gates[name], redis.call('ZCARD', wait_key(q, name))
    for _, line in ipairs(flow.closings) do
      count = count + (line.waits_for == name and 1 or 0)
    end
    local room = math.min(room_at(gate), count)
    local lines = room > 0 and first_waiting(q, flow, name, room) or {}
    read_groups(q, flow, lines)
    for n = 1, math.min(room, #lines) do
      local line = lines[n]
      local group = flow.groups[line.priority][line.group]
      bring_into_turn(flow, line, flow.v[line.priority] - MAX_LAG / group.weight)
      line.is_let_on, is_any_on = name, true
      flow.waits[line.priority] = math.max(0, flow.waits[line.priority] - 1)
      note_cfg(flow, 'waits', line.priority)
    end
    if count > 0 then
      flow.opens[name] = (room < 1 and moment_of(flow, gate)) or ''
    end
  end
  return is_any_on
end
