-- The lines of a group in turn: the one at the head of their rotation is tried, and gives a job, waits for a gate, or
-- leaves.
--- @include looking

-- Reads the next `count` lines of a group in turn, in rotation.
local function read_rotation(q, flow, group, count)
  local keys, lines = redis.call('LRANGE', rotation_key(q, flow, group), group.at, group.at + count - 1), group.lines
  for n = 1, #keys do
    lines[group.at + n] = line_in(flow, group.priority, keys[n])
  end
  group.is_whole = #keys < count
end

-- The first lines of a group in turn.
local function read_lines(q, flow, group)
  group.lines, group.at, group.behind_at, group.is_whole = {}, 0, 0, true
  if flow.kind == '2' then
    read_rotation(q, flow, group, flow.lines_step)
  end
  group.has_list = group.lines[1] ~= nil
  if not group.has_list and group.was_in_turn then
    group.lines[1] = line_in(flow, group.priority, group.name)
  end
end

local function head_of(q, flow, group)
  local line = group.lines[group.at + 1]
  if not line and not group.is_whole then
    read_rotation(q, flow, group, 100)
    line = group.lines[group.at + 1]
  end
  return line or group.behind[group.behind_at + 1]
end

local function pop_head(group)
  group.is_changed = true
  if group.lines[group.at + 1] then
    group.at, group.popped = group.at + 1, group.popped + 1
  else
    group.behind_at = group.behind_at + 1
  end
end

-- Whether a group has one line in turn and no other.
local function is_alone(group)
  return group.is_whole and #group.lines - group.at + #group.behind - group.behind_at + #group.ahead == 1
end

-- The line at the head of a rotation goes to its end.
local function rotate(group, line)
  if group.lines[group.at + 2] then
    group.at, group.popped = group.at + 1, group.popped + 1
  elseif is_alone(group) then
    return
  else
    pop_head(group)
  end
  add_to(group, 'behind', line)
end

-- The first gate of a line that has no room.
local function first_full(q, flow, line)
  local gates = line.gates
  for n = 1, #gates do
    if not gates[n].use then
      read_gates(q, flow, gates)
    end
    if room_at(gates[n], line.field) < 1 then
      return n
    end
  end
end

-- Whether a line books a slot of each gate before the one at `full`: it was tried in vain so often, and no other line
-- has booked one of these. One that was emptied meanwhile gives back what it has booked.
local function books(q, flow, line, full)
  if not line.gates[2] then
    return false
  end
  local tried = whole_in(flow.passed[line.field] or redis.call('HGET', flow_key(q, 'passed'), line.field)) + 1
  flow.passed[line.field] = tried
  if tried < PATIENCE then
    return false
  elseif has_no_job(q, line) then
    for n = 1, full - 1 do
      if line.gates[n].booked == line.field then
        give_back(flow, line.gates[n])
      end
    end
    return false
  end
  for n = 1, full - 1 do
    local booked = line.gates[n].booked
    if booked and booked ~= line.field then
      return false
    end
  end
  return true
end

-- A line leaves the turn, to wait for its gate at `full`.
local function close_line(q, flow, group, line, full)
  local gates, priority = line.gates, line.priority
  -- Those behind the full one may not be read yet.
  read_gates(q, flow, gates)
  for n = full, #gates do
    if gates[n].booked == line.field then
      give_back(flow, gates[n])
    end
  end
  line.score = MAX_TAG * priority + group.tag
  if books(q, flow, line, full) then
    line.score = MAX_TAG * priority
    for n = 1, full - 1 do
      if not gates[n].booked then
        use_gate(gates[n], 1)
        gates[n].booked, gates[n].is_rebooked = line.field, true
      end
    end
  end
  line.waits_for, flow.has_waits_changed = gates[full].name, true
  set_state(flow, line, 'w' .. line.waits_for)
  flow.closings[line.waits_for] = flow.closings[line.waits_for] or {}
  table.insert(flow.closings[line.waits_for], line)
  flow.waits[priority], flow.all_wait = flow.waits[priority] + 1, flow.all_wait + 1
  note_cfg(flow, 'waits', priority)
  note_freed(flow, gates)
  flow.vain = flow.vain + 1
  pop_head(group)
end

-- An empty line leaves the turn.
local function drop_line(flow, group, line)
  flow.all_lines = flow.all_lines - 1
  set_state(flow, line, nil)
  for _, gate in ipairs(line.gates) do
    if gate.booked == line.field then
      give_back(flow, gate)
    end
  end
  if line.gates[2] then
    flow.passed[line.field] = ''
  end
  note_freed(flow, line.gates)
  pop_head(group)
end

-- A line stays where it is in the rotation, and is left alone by this claim.
local function leave_line(group, line)
  pop_head(group)
  add_to(group, 'ahead', line)
end

-- Whether a group has no other line in turn than its line without gates.
local function has_no_gates(q, flow, group)
  local line = is_alone(group) and head_of(q, flow, group)
  return line and line.key == group.name
end

-- The line of a group that gives the next job, the job and its tries; nil if there is none. Once no job may be taken
-- through a gate, a group that has such lines is left alone.
local function next_of(q, flow, group)
  if not group.lines then
    read_lines(q, flow, group)
  end
  if flow.count >= flow.most_gated and not has_no_gates(q, flow, group) then
    flow.has_ahead = true
    return nil
  end
  while flow.vain < MAX_TRIED and not flow.is_bounded do
    local line = group.lines[group.at + 1] or head_of(q, flow, group)
    if not line then
      group.is_in_turn, group.is_changed = group.ahead[1] ~= nil, true
      return nil
    end
    local full = first_full(q, flow, line)
    if full then
      close_line(q, flow, group, line, full)
    else
      if not line.ids then
        begin_list(line, line_key(q, line.field), line.behind, flow.step)
        read_more(q, flow, line)
      end
      local id, tries = next_in(q, flow, line)
      if id then
        return line, id, tries
      elseif flow.is_bounded then
        break
      elseif line.kept[1] then
        leave_line(group, line)
      else
        flow.vain = flow.vain + 1
        drop_line(flow, group, line)
      end
    end
  end
  flow.is_bounded = true
end
