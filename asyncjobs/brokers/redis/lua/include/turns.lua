-- Whose turn it is: how a claim chooses jobs where some wait in lines (core/lines.py). The participants of a priority
-- are the groups that have lines in turn, and the ready list. The one with the smallest tag gives the next job, and its
-- tag rises. All is planned by reads alone; where the plan names jobs that are not to be leased, it is made once more.
--- @include flow
--- @include choice
--- @include fitting
--- @include company
--- @include parked
local MORE_GROUPS, MAX_PLANS = 64, 12

-- A list of ids that is looked at from its front: `behind` are ids that follow those in Redis.
local function new_list(key, where, behind, step)
  return {list = key, where = where, behind = behind, step = step, ids = {}, at = 0, stored = 0}
end

local function read_more(q, flow, list)
  local found = redis.call('LRANGE', list.list, list.stored, list.stored + list.step - 1)
  local ids, first = list.ids, list.stored + 1
  for n, id in ipairs(found) do
    ids[list.stored + n] = id
  end
  list.stored = list.stored + #found
  if #found < list.step then
    list.is_whole = true
    for _, id in ipairs(list.behind) do
      ids[#ids + 1] = id
    end
  end
  list.step = math.min(2 * list.step, MAX_PASSED)
  if flow.has_gone then
    local fields = {}
    for n = first, #ids do
      fields[#fields + 1] = gone_field(list.where, ids[n])
    end
    list.skips = list.skips or {}
    for n, skip in ipairs(values_of(q.gone, fields)) do
      list.skips[first + n - 1] = skip
    end
  end
  if flow.has_tries then
    list.tries = list.tries or {}
    for n, tries in ipairs(values_of(q.tries, {unpack(ids, first)})) do
      list.tries[first + n - 1] = tries
    end
  end
end

-- Whether the next entry of a list is gone.
local function is_next_gone(flow, list, n, id)
  if not (list.skips and list.skips[n]) then
    return false
  end
  if list.judged ~= n then
    list.judged, list.entries = n, entries_of(flow.gone, list.where, id, list.skips[n])
  end
  local entries = list.entries
  return is_gone(entries.value, entries.seen) and entries
end

-- The next id of a list, and its tries, with what is to be passed over taken out of it; nil where there is none. With
-- `takes_all`, only entries that are gone are passed over.
local function peek(q, flow, list, takes_all)
  while true do
    local n = list.at + 1
    local id = list.ids[n]
    if not id then
      if list.is_whole then
        return nil
      end
      read_more(q, flow, list)
    else
      local entries, fate = is_next_gone(flow, list, n, id), not takes_all and flow.fates[id]
      local tries = list.tries and list.tries[n]
      if not entries and (not fate or (tries and must_wait(tries))) then
        return id, tries
      end
      list.at, list.taken_to = n, n
      flow.passed_over = flow.passed_over + 1
      if entries then
        entries.passed = entries.passed + 1
      else
        if fate.kind then
          flow.parks[#flow.parks + 1] = id
        end
        if is_line(list.where) then
          count_lined(flow, list.priority, -1)
        end
      end
      if flow.passed_over > MAX_PASSED then
        flow.is_bounded = true
        return nil
      end
    end
  end
end

local function take_next(list)
  list.at = list.at + 1
  list.taken_to = list.at
end

-- The list of a line's jobs.
local function jobs_of(q, flow, line)
  if not line.ids then
    local list = new_list(line_key(q, line.field), line_where(line.field), line.behind, flow.step)
    for name, value in pairs(list) do
      line[name] = value
    end
  end
  return line
end

-- The keys of a group's lines in turn, in rotation.
local function read_keys(q, flow, group)
  if group.keys then
    return
  end
  group.keys, group.at, group.behind_at, group.is_whole = {}, 0, 0, true
  if flow.kind == '2' then
    group.keys = redis.call('LRANGE', turn_key(q, group.priority .. ':' .. group.name), 0, flow.keys_step - 1)
    group.is_whole = #group.keys < flow.keys_step
  end
  group.has_list = #group.keys > 0
  if not group.has_list and group.was_in_turn then
    group.keys[1] = group.name
  end
end

local function head_of(q, group)
  local key = group.keys[group.at + 1]
  if not key and not group.is_whole then
    local found = redis.call('LRANGE', turn_key(q, group.priority .. ':' .. group.name), group.at, group.at + 99)
    for n, one in ipairs(found) do
      group.keys[group.at + n] = one
    end
    group.is_whole = #found < 100
    key = group.keys[group.at + 1]
  end
  return key or group.behind[group.behind_at + 1]
end

local function pop_head(group)
  group.is_changed = true
  if group.keys[group.at + 1] then
    group.at, group.popped = group.at + 1, group.popped + 1
  else
    group.behind_at = group.behind_at + 1
  end
end

-- Whether a group has one line in turn and no other.
local function is_alone(group)
  return group.is_whole and #group.keys - group.at + #group.behind - group.behind_at + #group.ahead == 1
end

-- The first gate of a line that has no room.
local function first_full(q, flow, line)
  local gates = line.gates
  if not gates then
    read_gates(q, flow, line.gate_names)
    gates = {}
    for n, name in ipairs(line.gate_names) do
      gates[n] = flow.gates[name]
    end
    line.gates = gates
  end
  for n, gate in ipairs(gates) do
    if room_at(gate, line.field) < 1 then
      return n
    end
  end
end

-- Whether a line books a slot of each gate before the one at `full`: it was tried in vain so often, and no other line
-- has booked one of these.
local function books(q, flow, line, full)
  if not line.gates[2] then
    return false
  end
  local tried = whole_in(flow.passed[line.field] or redis.call('HGET', flow_key(q, 'passed'), line.field)) + 1
  flow.passed[line.field] = tried
  if tried < PATIENCE then
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
        use_gate(flow, gates[n], 1)
        gates[n].booked, gates[n].is_rebooked = line.field, true
      end
    end
  end
  line.waits_for = gates[full].name
  set_state(flow, line, 'w' .. line.waits_for)
  flow.closings[#flow.closings + 1] = line
  flow.waits[priority], flow.all_wait = flow.waits[priority] + 1, flow.all_wait + 1
  note_cfg(flow, 'waits', priority)
  note_freed(flow, line.gate_names)
  flow.vain = flow.vain + 1
  pop_head(group)
end

-- An empty line leaves the turn.
local function drop_line(flow, group, line)
  flow.all_lines = flow.all_lines - 1
  set_state(flow, line, nil)
  for _, gate in ipairs(line.gates or {}) do
    if gate.booked == line.field then
      give_back(flow, gate)
    end
  end
  if line.gate_names[2] then
    flow.passed[line.field] = ''
  end
  note_freed(flow, line.gate_names)
  pop_head(group)
end

-- A line stays where it is in the rotation, and is left alone by this claim.
local function leave_line(group, key)
  pop_head(group)
  group.ahead[#group.ahead + 1] = key
end

-- Whether a group has no other line in turn than its line without gates.
local function has_no_gates(q, group)
  return is_alone(group) and head_of(q, group) == group.name
end

-- The line of a group that gives the next job, the job and its tries; nil if there is none. Once no job may be taken
-- through a gate, a group that has such lines is left alone.
local function next_of(q, flow, group)
  read_keys(q, flow, group)
  if flow.count >= flow.most_gated and not has_no_gates(q, group) then
    flow.has_ahead = true
    return nil
  end
  while flow.vain < MAX_TRIED and not flow.is_bounded do
    local key = head_of(q, group)
    if not key then
      group.is_in_turn, group.is_changed = group.ahead[1] ~= nil, true
      return nil
    end
    local line = line_in(flow, group.priority, key)
    local full = line.gate_names[1] and first_full(q, flow, line)
    if full then
      close_line(q, flow, group, line, full)
    else
      local id, tries = peek(q, flow, jobs_of(q, flow, line))
      if id and tries and must_wait(tries) then
        leave_line(group, key)
      elseif id then
        return line, id, tries
      elseif not flow.is_bounded then
        flow.vain = flow.vain + 1
        drop_line(flow, group, line)
      end
    end
  end
  flow.is_bounded = true
end

local function note_pick(flow, id, tries, list)
  local n = flow.count + 1
  flow.count, flow.ids[n], flow.tries[n], flow.from[n] = n, id, tries or false, list
  if tries then
    join_company(tries)
  end
end

-- The next job of a line is taken: it uses up what the line has booked. Returns whether the group has a line for
-- another turn.
local function take_of(q, flow, group, line, id, tries)
  note_pick(flow, id, tries, line)
  take_next(line)
  count_lined(flow, line.priority, -1)
  if line.gates then
    line.has_run = true
    for _, gate in ipairs(line.gates) do
      if gate.booked == line.field then
        gate.booked, gate.is_rebooked = nil, true
      else
        gate.use = gate.use + 1
      end
      gate.starts, gate.is_changed = gate.starts + 1, true
    end
    if line.gate_names[2] and flow.has_passed then
      flow.passed[line.field] = ''
    end
  end
  flow.v[line.priority] = math.max(flow.v[line.priority], group.tag)
  group.tag, group.is_changed = group.tag + flow.charge / group.weight, true
  if not peek(q, flow, line, true) and not flow.is_bounded then
    drop_line(flow, group, line)
  elseif not is_alone(group) then
    pop_head(group)
    group.behind[#group.behind + 1] = line.key
  end
  local has_next = head_of(q, group) ~= nil
  group.is_in_turn = has_next or group.ahead[1] ~= nil
  return has_next
end

-- The next job of the ready list, and its tries, with those that must wait passed over.
local function next_ready(q, flow, plain)
  while true do
    local id, tries = peek(q, flow, plain)
    if not (id and tries and must_wait(tries)) then
      return id, tries
    end
    if plain.entries and plain.judged == plain.at + 1 then
      plain.entries.is_first = plain.entries.seen == 1
    end
    plain.at = plain.at + 1
    plain.kept[#plain.kept + 1] = plain.at
    flow.passed_over = flow.passed_over + 1
    if flow.passed_over > MAX_PASSED then
      flow.is_bounded = true
      return nil
    end
  end
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
  local names = {}
  for n = 1, math.min(#front.groups, want) do
    read_keys(q, flow, front.groups[n])
    for _, key in ipairs(front.groups[n].keys) do
      if #names > PART / 2 then
        break
      end
      for name in string.gmatch(key, '\31([^\31]*)') do
        names[#names + 1] = name
      end
    end
  end
  read_gates(q, flow, names)
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
  flow.keys_step = math.ceil(missing / math.max(1, #front.groups)) + 1
  if flow.kind == '2' and front.groups[1] then
    read_likely(q, flow, front, missing)
  end
  local plain = flow.ready[priority]
  plain.step = front.groups[1] and math.min(plain.step, missing) or missing + 1
  local plain_tag, is_plain_left = math.max(flow.plain[priority], flow.v[priority]), true
  while flow.count < want and not flow.is_bounded do
    if not front.groups[front.at + 1] and not front.is_whole then
      read_turns(q, flow, priority, front, MORE_GROUPS)
    end
    local group, queue = front.groups[front.at + 1], front
    local other = back.groups[back.at + 1]
    if other and (not group or comes_before(other, group)) then
      group, queue = other, back
    end
    if is_plain_left and (not group or plain_tag <= group.tag) then
      local id, tries = next_ready(q, flow, plain)
      is_plain_left = id ~= nil
      if id then
        note_pick(flow, id, tries, plain)
        take_next(plain)
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
-- {} of those that are none.
local function plan(q, flow, want, most_gated, dues, fates)
  flow.ids, flow.tries, flow.from, flow.count, flow.ready = {}, {}, {}, 0, {}
  flow.most_gated, flow.fates, flow.parks, flow.gone = most_gated, fates, {}, {}
  flow.vain, flow.passed_over, flow.charge = 0, 0, flow.by_time and 1e-6 or 1
  flow.all_lines = redis.call('HLEN', flow_key(q, 'lines'))
  local exist = redis.call('EXISTS', q.gone, q.tries) > 0
  flow.has_gone = exist and redis.call('EXISTS', q.gone) == 1
  flow.has_tries = exist and redis.call('EXISTS', q.tries) == 1
  flow.has_passed = flow.kind == '2' and redis.call('EXISTS', flow_key(q, 'passed')) == 1
  for _, due in ipairs(dues.lined) do
    enter_line(flow, due[1], due[2], due[3])
  end
  read_entered(q, flow)
  for step = 0, 3 do
    local priority = lowest_first and 3 - step or step
    flow.ready[priority] = new_list(q.ready[priority], priority, dues.plain[priority] or {}, want + 1)
    flow.ready[priority].kept = {}
    if flow.count < want and not flow.is_bounded then
      pick_from(q, flow, priority, want)
    end
  end
end

-- What the plan leaves of the ready lists, as of read_candidates: `taken`, `kept` and `rest`.
local function leave_ready(found, priority, plain)
  local taken_to, kept, rest = plain.taken_to or 0, {}, {}
  for _, n in ipairs(plain.kept) do
    if n > plain.stored then
      rest[#rest + 1] = plain.ids[n]
    elseif n <= taken_to then
      kept[#kept + 1] = plain.ids[n]
    end
  end
  local taken_due = math.max(0, (plain.is_whole and plain.at or 0) - plain.stored)
  for n = taken_due + 1, #plain.behind do
    rest[#rest + 1] = plain.behind[n]
  end
  found.taken[priority] = taken_to > 0 and math.min(taken_to, plain.stored) or nil
  found.kept[priority], found.rest[priority] = kept[1] and kept or nil, rest[1] and rest or nil
  if found.taken[priority] == 0 then
    found.taken[priority] = nil
  end
end

-- Whether jobs are left that another claim may start: of a claim that has looked at all, those that it takes for no
-- slot.
local function is_more_left(q, flow, found, want)
  if flow.count < want and not flow.is_bounded then
    return flow.has_ahead or false
  end
  for priority = 0, 3 do
    local count, plain = redis.call('ZCARD', flow_key(q, 'turns:' .. priority)), flow.ready[priority]
    for _, group in pairs(flow.groups[priority]) do
      count = count + (group.is_in_turn and 1 or 0) - (group.was_in_turn and 1 or 0)
    end
    local taken = (found.taken[priority] or 0) - #(found.kept[priority] or {})
    if count > 0 or found.rest[priority] or redis.call('LLEN', plain.list) > taken then
      return true
    end
  end
  return false
end

-- The parts of the plan as of read_candidates and sort.
local function read_plan(q, flow, own, want, run)
  local found = {taken = {}, kept = {}, rest = {}, priorities = {}}
  for priority = 0, 3 do
    leave_ready(found, priority, flow.ready[priority])
    for _, group in pairs(flow.groups[priority]) do
      if group.behind_at and group.behind_at > 0 then
        group.behind = {unpack(group.behind, group.behind_at + 1)}
      end
    end
  end
  for _, line in pairs(flow.lines) do
    if line.ids then
      line.looked = math.min(line.at, line.stored)
      line.behind = line.is_whole and {unpack(line.ids, math.max(line.at, line.stored) + 1)} or line.behind
    end
    if flow.all_wait > 0 and line.has_run then
      note_freed(flow, line.gate_names)
    end
  end
  local sorted = new_sorted(flow.gone, {})
  for n, id in ipairs(own.ids) do
    add_lease(sorted, run, id, own.records[n], own.tries[n])
  end
  for n = 1, flow.count do
    local member, line = add_lease(sorted, run, flow.ids[n], flow.records[flow.ids[n]], flow.tries[n]), flow.from[n]
    if line.key and (line.gates or flow.by_time) then
      flow.slots[#flow.slots + 1], flow.slots[#flow.slots + 2] = member, line.key
    end
  end
  for _, id in ipairs(flow.parks) do
    local fate = flow.fates[id]
    sorted.parked[fate.label] = sorted.parked[fate.label] or {kind = fate.kind}
    table.insert(sorted.parked[fate.label], id)
  end
  found.more = is_more_left(q, flow, found, want)
  return found, sorted
end

-- Notes the fates of the next `count` jobs of a list, since some before them are to be parked.
local function look_ahead(q, flow, list, held, count)
  while #list.ids < list.at + count and not list.is_whole do
    read_more(q, flow, list)
  end
  local ids = {unpack(list.ids, list.at + 1, math.min(#list.ids, list.at + count))}
  for n, head in ipairs(heads_of(q, ids)) do
    local kind, label
    if head then
      kind, label = parking(head, held)
    end
    if kind then
      flow.fates[ids[n]] = {kind = kind, label = label}
    end
  end
end

-- Reads the records of the jobs in a plan, and notes the fates of those that are not to be leased. Returns how many of
-- the first ones are to be, and whether the others have a fate; else they don't fit.
local function read_records_of(q, flow, records, held, ahead)
  local STEP, good, lists = 32, nil, {}
  for first = 1, flow.count, STEP do
    local last, wanted = math.min(first + STEP - 1, flow.count), {}
    for n = first, last do
      if records[flow.ids[n]] == nil then
        wanted[#wanted + 1] = flow.ids[n]
      end
    end
    for n, record in ipairs(wanted[1] and redis.call('MGET', unpack(record_keys(q, wanted))) or {}) do
      records[wanted[n]] = record
    end
    for n = first, last do
      local id = flow.ids[n]
      local record = records[id]
      local kind, label
      if record then
        kind, label = parking(record, held)
      end
      if not record or kind then
        flow.fates[id] = {kind = kind, label = label}
        good, lists[flow.from[n]] = good or n - 1, true
      elseif not good and not fits(record, flow.tries[n]) then
        return n - 1, false
      end
    end
  end
  for list in pairs(lists) do
    look_ahead(q, flow, list, held, ahead)
  end
  return good or flow.count, good ~= nil
end

-- Chooses up to `want` jobs, `own` among them, of a queue with lines; as choose, and the flow.
local function choose_in_turn(q, own, want, most_gated, dues, run, held)
  local bytes, left, last, fates, records = bytes_left, suspects_left, may_be_last, {}, {}
  local room, flow, is_cut = math.max(0, want - #own.ids), nil, false
  for attempt = 1, MAX_PLANS do
    bytes_left, suspects_left, may_be_last = bytes, left, last
    flow = read_flow(q, run.now)
    plan(q, flow, room, most_gated - #own.ids, dues, fates)
    if is_cut then
      break
    end
    local good, has_fates = read_records_of(q, flow, records, held, math.min(16 * 2 ^ attempt, MAX_PASSED))
    if good == flow.count then
      break
    end
    if not has_fates or attempt == MAX_PLANS - 1 then
      room, is_cut = good, true
    else
      -- Behind a job that is to be parked there often are more: a longer plan finds them at once.
      bytes_left, suspects_left, may_be_last = bytes, left, last
      flow = read_flow(q, run.now)
      plan(q, flow, math.min(room + 16 * 2 ^ attempt, MAX_PASSED), most_gated - #own.ids, dues, fates)
      read_records_of(q, flow, records, held, math.min(16 * 2 ^ attempt, MAX_PASSED))
    end
  end
  flow.records = records
  local found, sorted = read_plan(q, flow, own, room, run)
  flow.is_let_on = pass_baton(q, flow)
  found.more = found.more or flow.is_let_on or is_cut
  flow.again = flow.is_bounded or is_cut or flow.is_let_on
  sorted.stop = is_cut or nil
  flow.is_clean = flow.all_lines == 0
  check_flow(q, flow)
  return found, sorted, flow
end

-- When the next gate opens for which lines wait; nil for none.
local function next_opening(q, flow)
  local count, earliest = 0, nil
  for _, moment in pairs(flow.opens) do
    count = count + 1
    if moment ~= '' then
      earliest = math.min(earliest or math.huge, moment)
    end
  end
  local found = flow.all_wait > 0 and redis.call('ZRANGE', flow_key(q, 'opens'), 0, count, 'WITHSCORES') or {}
  for n = 1, #found, 2 do
    if not flow.opens[found[n]] then
      earliest = math.min(earliest or math.huge, float_in(found[n + 1]))
      break
    end
  end
  return earliest
end

local function earlier(one, other)
  return one and other and math.min(one, other) or one or other
end

-- Whether the plan changes anything in the lines.
local function is_changed(flow)
  return next(flow.cfg) or next(flow.states) or next(flow.opens) or next(flow.passed) or flow.passed_over > 0
end

-- The due jobs: those of lines as {priority, key, id}, and the others by priority.
local function dues_by_line(q, due)
  local plain, lined = {}, {}
  for priority, ids in pairs(due) do
    for n, head in ipairs(heads_of(q, ids)) do
      local key = head and line_of(head) or ''
      if key == '' then
        line_up(plain, priority, ids[n])
      else
        lined[#lined + 1] = {priority, key, ids[n]}
      end
    end
  end
  return {plain = plain, lined = lined}
end
