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

-- The limit of the rule that a gate is of, false for none.
local function rule_of(flow, gate)
  local mark = string.find(gate, '=', 1, true)
  local rule = mark and string.sub(gate, 1, mark - 1) or gate
  local found = flow.limits[rule]
  if found == nil then
    found = flow.rules[rule] and limit_in(flow.rules[rule], nil, flow.now) or false
    flow.limits[rule] = found
  end
  return found
end

-- Reads those of the gates that are not read yet.
local function read_gates(q, flow, gates)
  local new, names = {}, {}
  for n = 1, #gates do
    local gate = gates[n]
    if not gate.use then
      gate.use = 0
      new[#new + 1], names[#names + 1] = gate, gate.name
    end
  end
  if not new[1] then
    return
  end
  local rated, rated_names, used = {}, {}, values_of(flow_key(q, 'use'), names)
  local own = flow.own and values_of(flow_key(q, 'limits'), names) or {}
  local closed, booked = values_of(flow_key(q, 'closed'), names), values_of(flow_key(q, 'booked'), names)
  for n = 1, #new do
    local gate, name, numbers = new[n], names[n], own[n] and read_set(own[n])
    if flow.new_own and flow.new_own.gate == name then
      numbers = flow.new_own.limit
    end
    local limit = (numbers and limit_in(numbers, nil, flow.now)) or (not numbers and rule_of(flow, name)) or none
    gate.running = limit.running or 0
    if used[n] then
      gate.use = math.max(0, whole_in(used[n]))
    end
    if booked[n] then
      gate.booked = booked[n]
    end
    if limit.step then
      gate.step, gate.burst = limit.step, limit.burst
      rated[#rated + 1], rated_names[#rated_names + 1] = gate, name
    end
    if closed[n] then
      local from, till = string.match(closed[n], '^(%d+) (%d+)$')
      if from and tonumber(from) <= flow.now and tonumber(till) > flow.now then
        gate.closed_until = tonumber(till)
      end
    end
  end
  local tats = scores_of(flow_key(q, 'tat'), rated_names)
  for n, gate in ipairs(rated) do
    local tat = tonumber(tats[n] or 0) or 0
    -- As in limit_in.
    local latest = flow.now + gate.burst * gate.step
    gate.used_until, gate.is_cut = math.min(tat, latest), tat > latest
    gate.starts_left = starts_left(gate, flow.now)
  end
end

-- The gates of these names.
local function gates_in(flow, names)
  local gates = {}
  for n, name in ipairs(names) do
    gates[n] = gate_in(flow, name)
  end
  return gates
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
local function note_freed(flow, gates)
  for n = 1, #gates do
    flow.freed[gates[n].name] = true
  end
end

local function use_gate(gate, number)
  gate.use, gate.is_used = math.max(0, gate.use + number), true
end

local function give_back(flow, gate)
  gate.booked, gate.is_rebooked = nil, true
  use_gate(gate, -1)
  flow.freed[gate.name] = true
end

-- Closes a gate until a time, which is not before one that it is closed until already.
local function close_gate(q, flow, name, till)
  local gate = gate_in(flow, name)
  read_gates(q, flow, {gate})
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
  local leases, no_slots = {}, flow.no_slots
  for n = 1, #members do
    local key = keys[n]
    if key then
      no_slots[#no_slots + 1] = members[n]
      leases[key] = (leases[key] or 0) + 1
    end
  end
  for key, count in pairs(leases) do
    for name in string.gmatch(key, '\31([^\31]*)') do
      if counts[name] then
        counts[name] = counts[name] + count
      else
        counts[name], names[#names + 1] = count, name
      end
    end
  end
  if flow.all_wait > 0 then
    local gates = gates_in(flow, names)
    read_gates(q, flow, gates)
    for _, gate in ipairs(gates) do
      use_gate(gate, -counts[gate.name])
    end
    note_freed(flow, gates)
    return keys
  end
  -- Where no line waits, the rest of the gates doesn't matter.
  local used = values_of(flow_key(q, 'use'), names)
  for n = 1, #used do
    flow.use[names[n]] = math.max(0, whole_in(used[n]) - counts[names[n]])
  end
  return keys
end

local function stands_before(one, other)
  if one.score ~= other.score then
    return one.score < other.score
  end
  return one.field < other.field
end

-- The lines that wait for a gate, as next_waiting gives them: those of before, and those that begin to wait now.
local function waiting_at(flow, name, room)
  local own = flow.closings[name] or {}
  table.sort(own, stands_before)
  -- As many as may go on, and the next one.
  local step = math.min(math.max(room, 0), flow.can_pass) + 1
  return {name = name, own = own, own_at = 0, lines = {}, at = 0, read = 0, step = step}
end

-- The first line that waits for a gate, nil for none; take_waiting goes on to the next one.
local function next_waiting(q, flow, waiting)
  while not (waiting.lines[waiting.at + 1] or waiting.is_whole) do
    local last = waiting.read + waiting.step - 1
    local found = redis.call('ZRANGE', wait_key(q, waiting.name), waiting.read, last, 'WITHSCORES')
    waiting.read, waiting.is_whole = last + 1, #found < 2 * waiting.step
    waiting.step = math.min(4 * waiting.step, MAX_PASSED)
    for n = 1, #found, 2 do
      local line = line_at(flow, found[n])
      if line and not (line.waits_for or line.is_let_on) then
        line.score = float_in(found[n + 1])
        waiting.lines[#waiting.lines + 1] = line
      end
    end
  end
  local line, own = waiting.lines[waiting.at + 1], waiting.own[waiting.own_at + 1]
  waiting.is_own_next = own and (not line or stands_before(own, line))
  return waiting.is_own_next and own or line
end

local function take_waiting(waiting)
  local at = waiting.is_own_next and 'own_at' or 'at'
  waiting[at] = waiting[at] + 1
end

-- A line waits no longer for a gate.
local function end_wait(flow, line, name)
  line.is_let_on, flow.has_waits_changed = name, true
  flow.waits[line.priority] = math.max(0, flow.waits[line.priority] - 1)
  note_cfg(flow, 'waits', line.priority)
end

-- Takes away a line that was emptied while it waited for a gate, with what it has booked and the entries of its list,
-- which are all gone.
local function forget_line(q, flow, line, name)
  end_wait(flow, line, name)
  line.left = is_any_gone(q) and redis.call('LRANGE', line_key(q, line.field), 0, -1) or none
  flow.all_lines, flow.is_any_forgotten = (flow.all_lines or 0) - 1, true
  set_state(flow, line, nil)
  read_gates(q, flow, line.gates)
  for _, gate in ipairs(line.gates) do
    if gate.booked == line.field then
      give_back(flow, gate)
    end
  end
  if line.gates[2] then
    flow.passed[line.field] = ''
  end
end

-- Lets the lines on for which a gate has room, and takes away those before them that were emptied. Returns whether one
-- was let on, or is to be by the next script.
local function let_on(q, flow, name)
  if not flow.closings[name] and redis.call('EXISTS', wait_key(q, name)) == 0 then
    return false
  end
  local gate, lines = flow.gates[name], {}
  local room = room_at(gate)
  local waiting = flow.waiting[name] or waiting_at(flow, name, room)
  flow.waiting[name] = waiting
  local line = next_waiting(q, flow, waiting)
  if not line then
    return false
  end
  while line and flow.can_pass > 0 do
    local is_left = has_no_job(q, line)
    if not is_left and #lines >= room then
      break
    end
    take_waiting(waiting)
    flow.can_pass = flow.can_pass - 1
    if is_left then
      forget_line(q, flow, line, name)
    else
      lines[#lines + 1] = line
    end
    line = next_waiting(q, flow, waiting)
  end
  read_groups(q, flow, lines)
  for _, one in ipairs(lines) do
    local group = flow.groups[one.priority][one.group]
    bring_into_turn(flow, one, flow.v[one.priority] - MAX_LAG / group.weight)
    end_wait(flow, one, name)
  end
  local is_cut = line ~= nil and flow.can_pass == 0
  flow.opens[name] = (is_cut and flow.now) or (line and room < 1 and moment_of(flow, gate)) or ''
  return lines[1] ~= nil or is_cut
end

-- Lets lines on that wait for the gates in `freed`, as many as there is room, MAX_PASSED at most: the others at once
-- after. Where it is for time to make room, notes when. Returns whether there is anything for a claim
-- to do. This is the last that a script changes before it writes.
local function pass_baton(q, flow)
  local is_any_on = false
  if flow.all_wait == 0 then
    return false
  end
  local opened = redis.call('ZRANGEBYSCORE', flow_key(q, 'opens'), '-inf', flow.now, 'LIMIT', 0, MAX_PASSED)
  for _, name in ipairs(opened) do
    flow.freed[name], flow.opens[name] = true, ''
  end
  flow.waiting, flow.can_pass = {}, MAX_PASSED
  -- A line that is taken away may free other gates.
  while next(flow.freed) do
    local names = {}
    for name in pairs(flow.freed) do
      names[#names + 1] = name
    end
    table.sort(names)
    flow.freed = {}
    read_gates(q, flow, gates_in(flow, names))
    for _, name in ipairs(names) do
      is_any_on = let_on(q, flow, name) or is_any_on
    end
  end
  return is_any_on
end
