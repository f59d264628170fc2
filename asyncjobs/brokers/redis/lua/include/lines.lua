-- Lines: the jobs of one priority and line key (core/lines.py) wait in the list `line:<priority>:<key>`. Beside them
--   flow:lines             hash: 'priority:key' -> 'r' for a line in turn, or 'w' and the gate for which it waits; a
--                          line that was emptied by a cancellation stays until a claim tries it
--   flow:turns:<priority>  sorted set: the groups that have lines in turn, by their tags (the virtual time of their
--                          next start); flow:tags:<priority> has the tags of other groups
--   turn:<priority>:<group>  list: the keys of the group's lines in turn, in rotation; there is none while only its
--                          line without gates is in turn
-- and in cfg `flow` ('1' once there were lines, '2' once there were gates), and by priority `v` (the tag of the last
-- start), `plain` (the tag of the ready list), `waits` (how many lines wait) and `lined` (how many jobs are in lines).
-- A script reads what it needs into one table, `flow`, changes that, and writes it once, with write_flow.
--- @include header
--- @include parts
--- @include gone
--- @include fields

-- What most lists of lines and groups are: to make a table for each takes longer than all the rest of them.
local none = {}

-- The key of the line of a record, '' if it has none.
local function line_of(record)
  if not is_readable(record) then
    return ''
  end
  local name, size = string.byte(record, 4, 5)
  local key = string.sub(record, 8 + name, 7 + name + size)
  local mark = string.find(key, '\30', 1, true)
  return mark and string.sub(key, 1, mark - 1) or key
end

local function in_parts(command, key, values)
  for first = 1, #values, PART do
    redis.call(command, key, unpack(values, first, math.min(first + PART - 1, #values)))
  end
end

local function float_in(text)
  local number = tonumber(text)
  return number and number == number and number or 0
end

local function read_flow(q, now)
  local cfg = redis.call('HMGET', q.cfg, 'flow', 'rules', 'own', 'by_time', 'weighted', 'v:0', 'v:1', 'v:2', 'v:3',
    'plain:0', 'plain:1', 'plain:2', 'plain:3', 'waits:0', 'waits:1', 'waits:2', 'waits:3', 'lined:0', 'lined:1',
    'lined:2', 'lined:3')
  local ok, rules = pcall(cmsgpack.unpack, cfg[2] or '\128')
  local flow = {
    now = now, kind = cfg[1] or '0', rules = ok and type(rules) == 'table' and rules or {}, own = cfg[3],
    by_time = cfg[4], weighted = cfg[5], v = {}, plain = {}, waits = {}, lined = {}, cfg = {}, lines = {},
    entered = {}, groups = {[0] = {}, {}, {}, {}}, gates = {}, use = {}, freed = {}, states = {}, limits = {},
    slots = {}, no_slots = {}, passed = {}, closings = {}, opens = {}, all_wait = 0, count_entered = 0,
    -- Of each priority, since Lua takes longer for a number in a text than for all the rest of a job.
    prefixes = {[0] = '0:', '1:', '2:', '3:'}, lined_fields = {[0] = 'lined:0', 'lined:1', 'lined:2', 'lined:3'},
  }
  for priority = 0, 3 do
    local v, plain, waits, lined = cfg[6 + priority], cfg[10 + priority], cfg[14 + priority], cfg[18 + priority]
    flow.v[priority], flow.plain[priority] = v and float_in(v) or 0, plain and float_in(plain) or 0
    flow.waits[priority] = waits and math.max(0, whole_in(waits)) or 0
    flow.lined[priority] = lined and math.max(0, whole_in(lined)) or 0
    flow.all_wait = flow.all_wait + flow.waits[priority]
  end
  return flow
end

-- A field of cfg is to be written.
local function note_cfg(flow, name, priority)
  flow.cfg[name .. ':' .. priority] = flow[name][priority]
end

local function count_lined(flow, priority, number)
  flow.lined[priority] = math.max(0, flow.lined[priority] + number)
  flow.cfg[flow.lined_fields[priority]] = flow.lined[priority]
end

-- Adds to the list `side` of a line or group.
local function add_to(owner, side, one)
  local list = owner[side]
  if list == none then
    list = {}
    owner[side] = list
  end
  list[#list + 1] = one
end

-- A gate, of which read_gates reads the rest.
local function gate_in(flow, name)
  local gate = flow.gates[name]
  if not gate then
    -- With room for what all gates have: Lua takes long to make it for one after the other.
    gate = {name = name, starts = 0, use = nil, running = nil}
    flow.gates[name] = gate
  end
  return gate
end

-- The group in the key of a line, and its gates.
local function read_key(flow, key)
  if not string.find(key, '\31', 1, true) then
    return key, none
  end
  local group, first, others = string.match(key, '^([^\31]*)\31([^\31]*)(.*)$')
  local gates = {gate_in(flow, first)}
  if others ~= '' then
    for name in string.gmatch(others, '\31([^\31]*)') do
      gates[#gates + 1] = gate_in(flow, name)
    end
  end
  return group, gates
end

local function line_in(flow, priority, key)
  local field = flow.prefixes[priority] .. key
  local line = flow.lines[field]
  if not line then
    local group, gates = read_key(flow, key)
    -- With room for the fields of begin_list: Lua takes long to make it for one after the other.
    line = {
      field = field, priority = priority, key = key, group = group, gates = gates, behind = none, ahead = none,
      list = nil, step = nil, ids = nil, at = nil, stored = nil, kept = nil, taken_to = nil, is_whole = nil,
    }
    flow.lines[field] = line
  end
  return line
end

-- The line of a field of `flow:lines`.
local function line_at(flow, field)
  local priority, key = string.match(field, '^([0-3]):(.*)$')
  return priority and line_in(flow, tonumber(priority), key)
end

-- Notes that the queue has jobs of lines, which may still be scheduled.
local function note_kind(flow, key)
  local kind = string.find(key, '\31', 1, true) and '2' or '1'
  if kind > flow.kind then
    flow.kind, flow.cfg.flow = kind, kind
  end
end

-- Notes that a job is to wait in its line, behind the others of it or before them (`is_first`). read_entered is for the
-- caller, for many at once.
local function enter_line(flow, priority, key, id, is_first)
  local line = line_in(flow, priority, key)
  local count = flow.count_entered + 1
  flow.count_entered = count
  if not line.order then
    flow.entered[#flow.entered + 1] = line
  end
  add_to(line, is_first and 'ahead' or 'behind', id)
  -- What goes to the front goes there from the last one on.
  line.order = is_first and -count or line.order or count
end

-- Whether anything of the lists is gone; the server is asked once.
local function is_any_gone(q)
  if q.has_gone == nil then
    q.has_gone = redis.call('EXISTS', q.gone) == 1
  end
  return q.has_gone
end

-- Whether a line has no entries but such as are gone; of one with more than 1,000 it isn't said.
local function is_emptied(q, field)
  local key, where = line_key(q, field), line_where(field)
  local first = redis.call('LINDEX', key, 0)
  if not (first and is_any_gone(q)) or whole_in(redis.call('HGET', q.gone, gone_field(where, first))) <= 0 then
    return not first
  end
  local counts, ids, fields = {}, {}, {}
  for n, id in ipairs(redis.call('LRANGE', key, 0, MAX_PASSED)) do
    if n > MAX_PASSED then
      return false
    elseif not counts[id] then
      ids[#ids + 1], fields[#fields + 1] = id, gone_field(where, id)
    end
    counts[id] = (counts[id] or 0) + 1
  end
  local gone = values_of(q.gone, fields)
  for n, id in ipairs(ids) do
    if whole_in(gone[n]) < counts[id] then
      return false
    end
  end
  return true
end

-- Whether a line that waits, or is to wait, has no job, neither in its list nor among those that enter it. One that the
-- claim has looked at has one.
local function has_no_job(q, line)
  return not (line.ids or line.ahead[1] or line.behind[1]) and is_emptied(q, line.field)
end

local function new_group(flow, priority, name, tag, is_in_turn)
  local group = {
    name = name, priority = priority, tag = tag, is_in_turn = is_in_turn, was_in_turn = is_in_turn, behind = none,
    ahead = none, popped = 0, weight = 1,
  }
  flow.groups[priority][name] = group
  return group
end

local function rotation_key(q, flow, group)
  return turn_key(q, flow.prefixes[group.priority] .. group.name)
end

local function read_weights(q, flow, groups)
  if flow.new_weights then
    for _, group in ipairs(groups) do
      group.weight = tonumber(flow.new_weights[group.name]) or 1
    end
  end
  if flow.new_weights or not flow.weighted or #groups == 0 then
    return
  end
  local names = {}
  for n, group in ipairs(groups) do
    names[n] = group.name
  end
  for n, weight in ipairs(values_of(flow_key(q, 'weights'), names)) do
    weight = tonumber(weight)
    if weight and weight > 0 and weight < 1e9 then
      groups[n].weight = weight
    end
  end
end

-- The scores of members, false where there is none.
local function scores_of(key, members)
  local scores = {}
  for first = 1, #members, PART do
    local part = redis.call('ZMSCORE', key, unpack(members, first, math.min(first + PART - 1, #members)))
    for n, score in ipairs(part) do
      scores[first + n - 1] = score and float_in(score)
    end
  end
  return scores
end

-- Reads the groups of lines that may come into turn.
local function read_groups(q, flow, lines)
  local names, seen = {[0] = {}, {}, {}, {}}, {}
  for _, line in ipairs(lines) do
    local group = flow.groups[line.priority][line.group]
    local field = flow.prefixes[line.priority] .. line.group
    if not group and not seen[field] then
      seen[field] = true
      table.insert(names[line.priority], line.group)
    end
  end
  local new = {}
  for priority = 0, 3 do
    local own = names[priority]
    if own[1] then
      local in_turn = scores_of(flow_key(q, 'turns:' .. priority), own)
      local others = scores_of(flow_key(q, 'tags:' .. priority), own)
      for n, name in ipairs(own) do
        new[#new + 1] = new_group(flow, priority, name, in_turn[n] or others[n] or 0, in_turn[n] and true or false)
        new[#new].is_tagged = others[n] and true or false
      end
    end
  end
  read_weights(q, flow, new)
  for _, line in ipairs(lines) do
    local group = flow.groups[line.priority][line.group]
    if group.has_list == nil then
      group.has_list = flow.kind == '2' and redis.call('EXISTS', rotation_key(q, flow, group)) == 1
    end
  end
end

local function set_state(flow, line, state)
  line.state = state
  flow.states[line.field] = state or ''
end

-- Brings a line into turn, whose group begins at `least` at the earliest if it has no other line in turn.
local function bring_into_turn(flow, line, least)
  local group = flow.groups[line.priority][line.group]
  if not group.is_in_turn then
    group.is_in_turn, group.tag, group.is_fresh = true, math.max(group.tag, least), true
  end
  group.is_changed = true
  add_to(group, 'behind', line)
  set_state(flow, line, 'r')
end

-- Reads the lines that jobs enter; those that are new, or were found empty, come into turn.
local function read_entered(q, flow)
  local fields, new = {}, {}
  for n, line in ipairs(flow.entered) do
    fields[n] = line.field
  end
  local states = values_of(flow_key(q, 'lines'), fields)
  for n, line in ipairs(flow.entered) do
    redis.call('LLEN', line_key(q, line.field))
    count_lined(flow, line.priority, #line.ahead + #line.behind)
    line.state = states[n] or nil
    if not line.state then
      new[#new + 1] = line
    end
  end
  table.sort(new, function(one, other)
    return one.order < other.order
  end)
  read_groups(q, flow, new)
  flow.all_lines = (flow.all_lines or 0) + #new
  for _, line in ipairs(new) do
    bring_into_turn(flow, line, flow.v[line.priority])
    note_kind(flow, line.key)
  end
end
