-- A plan: which jobs a claim would take, by turns. The participants of a priority are the groups that have lines in
-- turn, and the ready list. The one with the smallest tag gives the next job, and its tag rises.
--- @include rotation
local MORE_GROUPS = 64

-- The next job of a list is taken.
local function take_next(flow, id, tries, list)
  list.at = list.at + 1
  list.taken_to = list.at
  local n = flow.count + 1
  flow.count, flow.ids[n], flow.from[n] = n, id, list
  if tries then
    flow.tries[n] = tries
    join_company(tries)
  end
end

-- The next job of a line is taken: it uses up what the line has booked. Returns whether the group has a line for
-- another turn.
local function take_of(q, flow, group, line, id, tries)
  take_next(flow, id, tries, line)
  local gates = line.gates
  if gates[1] then
    if flow.all_wait > 0 then
      line.has_run = true
    end
    for n = 1, #gates do
      local gate = gates[n]
      if gate.booked == line.field then
        gate.booked, gate.is_rebooked = nil, true
      else
        gate.use = gate.use + 1
      end
      gate.starts = gate.starts + 1
    end
    if gates[2] and flow.has_passed then
      flow.passed[line.field] = ''
    end
  end
  if group.tag > flow.v[line.priority] then
    flow.v[line.priority] = group.tag
  end
  group.tag, group.is_changed = group.tag + flow.charge / group.weight, true
  local has_more = (flow.is_plain and line.ids[line.at + 1]) or peek(q, flow, line, true)
  if not (has_more or line.kept[1] or flow.is_bounded) then
    drop_line(flow, group, line)
    local has_next = head_of(q, flow, group) ~= nil
    group.is_in_turn = has_next or group.ahead[1] ~= nil
    return has_next
  end
  rotate(group, line)
  return true
end

local function comes_before(one, other)
  return one.tag < other.tag or (one.tag == other.tag and one.name < other.name)
end

-- Puts a group among those that have had a turn, by their tags.
local function put_back(queue, group)
  local at = #queue.groups
  while at > queue.at and comes_before(group, queue.groups[at]) do
    queue.groups[at + 1] = queue.groups[at]
    at = at - 1
  end
  queue.groups[at + 1] = group
end

-- Reads the next groups in turn.
local function read_turns(q, flow, priority, front, count)
  local first = #front.groups
  local found = redis.call('ZRANGE', flow_key(q, 'turns:' .. priority), first, first + count - 1, 'WITHSCORES')
  local own, new = flow.groups[priority], {}
  for n = 1, #found, 2 do
    local name = found[n]
    local group = own[name]
    if not group then
      group = new_group(flow, priority, name, float_in(found[n + 1]), true)
      new[#new + 1] = group
    end
    front.groups[first + (n + 1) / 2] = group
  end
  front.is_whole = #found < 2 * count
  read_weights(q, flow, new)
end

-- Reads the gates of the lines that are likely to be tried, all at once.
local function read_likely(q, flow, front, want)
  local gates = {}
  for n = 1, math.min(#front.groups, want) do
    if not front.groups[n].lines then
      read_lines(q, flow, front.groups[n])
    end
    for _, line in ipairs(front.groups[n].lines) do
      if #gates > PART / 2 then
        break
      end
      for at = 1, #line.gates do
        gates[#gates + 1] = line.gates[at]
      end
    end
  end
  read_gates(q, flow, gates)
end

-- Picks jobs of one priority until there are `want`.
local function pick_from(q, flow, priority, want)
  local front, back = {groups = {}, at = 0}, {groups = {}, at = 0}
  read_turns(q, flow, priority, front, want - flow.count + MORE_GROUPS)
  for _, group in pairs(flow.groups[priority]) do
    if group.is_fresh then
      put_back(back, group)
    end
  end
  local has_lines = front.groups[1] or back.groups[1] or flow.waits[priority] > 0
  local missing = want - flow.count
  flow.step = math.ceil(missing / math.max(1, math.min(flow.all_lines, missing))) + 1
  flow.lines_step = math.ceil(missing / math.max(1, #front.groups)) + 1
  if flow.kind == '2' and front.groups[1] then
    read_likely(q, flow, front, missing)
  end
  local plain = flow.ready[priority]
  plain.step = front.groups[1] and math.min(plain.step, missing) or missing + 1
  local plain_tag, is_plain_left = math.max(flow.plain[priority], flow.v[priority]), true
  while flow.count < want and not flow.is_bounded do
    local group, queue = front.groups[front.at + 1], front
    if not (group or front.is_whole) then
      read_turns(q, flow, priority, front, MORE_GROUPS)
      group = front.groups[front.at + 1]
    end
    local other = back.groups[back.at + 1]
    if other and (not group or comes_before(other, group)) then
      group, queue = other, back
    end
    if is_plain_left and (not group or plain_tag <= group.tag) then
      local id, tries = next_in(q, flow, plain)
      is_plain_left = id ~= nil
      if id then
        take_next(flow, id, tries, plain)
        if has_lines then
          flow.v[priority] = math.max(flow.v[priority], plain_tag)
          plain_tag = plain_tag + flow.charge
          flow.plain[priority] = plain_tag
        end
      end
    elseif group then
      queue.at = queue.at + 1
      local line, id, tries = next_of(q, flow, group)
      if line and take_of(q, flow, group, line, id, tries) then
        put_back(back, group)
      end
    else
      break
    end
  end
  if has_lines and missing > want - flow.count then
    note_cfg(flow, 'v', priority)
    note_cfg(flow, 'plain', priority)
  end
end

-- Makes a plan: up to `want` jobs, of lines with gates no more than `most_gated` in all. `dues`: due jobs, of lines as
-- {priority, key, id}, of the ready lists by priority. `fates`: id -> {kind, label} of jobs that are to be parked, or
-- {} of those that are none. `known`: id -> record, in a last plan, nil in others.
local function plan(q, flow, want, most_gated, dues, fates, known)
  flow.ids, flow.tries, flow.from, flow.count, flow.ready = {}, {}, {}, 0, {}
  flow.most_gated, flow.fates, flow.known, flow.parks, flow.gone = most_gated, fates, known, {}, {}
  flow.vain, flow.passed_over, flow.charge = 0, 0, flow.by_time and 1e-6 or 1
  flow.all_lines = redis.call('HLEN', flow_key(q, 'lines'))
  local exist = redis.call('EXISTS', q.gone, q.tries) > 0
  flow.has_gone = exist and redis.call('EXISTS', q.gone) == 1
  flow.has_tries = exist and redis.call('EXISTS', q.tries) == 1
  -- Whether each entry is a job that may start, as far as is known.
  flow.is_plain = not (exist or known or next(fates))
  flow.has_passed = flow.kind == '2' and redis.call('EXISTS', flow_key(q, 'passed')) == 1
  for _, due in ipairs(dues.lined) do
    enter_line(flow, due[1], due[2], due[3])
  end
  read_entered(q, flow)
  for step = 0, 3 do
    local priority = lowest_first and 3 - step or step
    flow.ready[priority] = begin_list({priority = priority}, q.ready[priority], dues.plain[priority] or none, want + 1)
    if flow.count < want and not flow.is_bounded then
      pick_from(q, flow, priority, want)
    end
  end
end
