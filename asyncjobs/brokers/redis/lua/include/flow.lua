-- Writes what has changed in the lines, groups and gates of a queue.
--- @include lines
--- @include gates
--- @include leases

local function check_gates(q)
  for _, part in ipairs({'use', 'booked', 'passed', 'closed'}) do
    redis.call('HLEN', flow_key(q, part))
  end
  for _, part in ipairs({'tat', 'opens'}) do
    redis.call('ZCARD', flow_key(q, part))
  end
end

-- Looks at the keys that write_flow may write; to be called before the script writes.
local function check_flow(q, flow)
  redis.call('HLEN', flow_key(q, 'lines'))
  redis.call('HLEN', flow_key(q, 'slots'))
  for priority = 0, 3 do
    if next(flow.groups[priority]) then
      redis.call('ZCARD', flow_key(q, 'turns:' .. priority))
      redis.call('ZCARD', flow_key(q, 'tags:' .. priority))
    end
  end
  if flow.kind == '2' then
    check_gates(q)
  end
end

local function forget_list(q, line)
  local fields, where = {}, line_where(line.field)
  for n, id in ipairs(line.left) do
    fields[n] = gone_field(where, id)
  end
  in_parts('HDEL', q.gone, fields)
  redis.call('DEL', line_key(q, line.field))
end

local function write_line(q, line)
  if line.left and line.left[1] then
    return forget_list(q, line)
  end
  local key = line.list or line_key(q, line.field)
  if line.taken_to and line.taken_to > 0 then
    redis.call('LTRIM', key, line.taken_to, '-1')
  end
  if line.ahead[1] then
    local ahead = {}
    for n = #line.ahead, 1, -1 do
      ahead[#ahead + 1] = line.ahead[n]
    end
    in_parts('LPUSH', key, ahead)
    put_before_gone(q, line_where(line.field), line.ahead)
  end
  if line.behind[1] then
    in_parts('RPUSH', key, line.behind)
  end
end

-- Puts the keys of lines behind `keys`, and returns these.
local function keys_of(keys, lines)
  local count = #keys
  for n = 1, #lines do
    keys[count + n] = lines[n].key
  end
  return keys
end

-- Where a group has no list, its line without gates stands for it.
local function write_rotation(q, flow, group)
  local key = rotation_key(q, flow, group)
  if group.has_list then
    if group.popped > 0 then
      redis.call('LTRIM', key, group.popped, -1)
    end
    for n = #group.ahead, 1, -1 do
      redis.call('LPUSH', key, group.ahead[n].key)
    end
    in_parts('RPUSH', key, keys_of({}, group.behind))
    return
  end
  local keys = keys_of({}, group.ahead)
  if group.was_in_turn and group.popped == 0 then
    keys[#keys + 1] = group.name
  end
  keys_of(keys, group.behind)
  if keys[2] or (keys[1] and keys[1] ~= group.name) then
    in_parts('RPUSH', key, keys)
  end
end

local function write_groups_of(q, flow, priority)
  local turns, tags, no_turns, no_tags = {}, {}, {}, {}
  for name, group in pairs(flow.groups[priority]) do
    if group.is_changed then
      if group.popped > 0 or group.ahead[1] or group.behind[1] then
        write_rotation(q, flow, group)
      end
      local to = group.is_in_turn and turns or tags
      to[#to + 1], to[#to + 2] = group.tag, name
      if group.was_in_turn and not group.is_in_turn then
        no_turns[#no_turns + 1] = name
      elseif group.is_tagged and group.is_in_turn then
        no_tags[#no_tags + 1] = name
      end
    end
  end
  in_parts('ZREM', flow_key(q, 'turns:' .. priority), no_turns)
  in_parts('ZREM', flow_key(q, 'tags:' .. priority), no_tags)
  in_parts('ZADD', flow_key(q, 'turns:' .. priority), turns)
  in_parts('ZADD', flow_key(q, 'tags:' .. priority), tags)
end

-- Sets the fields of a hash, and removes those whose value is ''.
local function write_fields(key, fields)
  local set, gone = {}, {}
  for field, value in pairs(fields) do
    if value == '' then
      gone[#gone + 1] = field
    else
      set[#set + 1], set[#set + 2] = field, value
    end
  end
  in_parts('HDEL', key, gone)
  in_parts('HSET', key, set)
end

local function write_waits(q, flow)
  local waits, no_waits = {}, {}
  for _, line in pairs(flow.lines) do
    local gate = line.waits_for
    if line.is_let_on then
      if not gate then
        no_waits[line.is_let_on] = no_waits[line.is_let_on] or {}
        table.insert(no_waits[line.is_let_on], line.field)
      end
    elseif gate then
      waits[gate] = waits[gate] or {}
      table.insert(waits[gate], line.score)
      table.insert(waits[gate], line.field)
    end
  end
  for gate, fields in pairs(no_waits) do
    in_parts('ZREM', wait_key(q, gate), fields)
  end
  for gate, scores in pairs(waits) do
    in_parts('ZADD', wait_key(q, gate), scores)
  end
end

local function write_gates(q, flow)
  local use, unused, tats, booked, opens, no_opens, count_used = {}, {}, {}, {}, {}, {}, 0
  local function note_use(name, count)
    if count > 0 then
      use[count_used + 1], use[count_used + 2] = name, count
      count_used = count_used + 2
    else
      unused[#unused + 1] = name
    end
  end
  for name, count in pairs(flow.use) do
    note_use(name, count)
  end
  for name, gate in pairs(flow.gates) do
    if gate.is_used or gate.starts > 0 then
      note_use(name, gate.use)
    end
    if gate.step and (gate.starts > 0 or gate.is_cut) then
      tats[#tats + 1], tats[#tats + 2] = used_up(gate, flow.now, gate.starts), name
    end
    if gate.is_rebooked then
      booked[name] = gate.booked or ''
    end
    if gate.is_closed_now then
      redis.call('HSET', flow_key(q, 'closed'), name, string.format('%d %d', flow.now, gate.closed_until))
    end
  end
  for name, moment in pairs(flow.opens) do
    if moment == '' then
      no_opens[#no_opens + 1] = name
    else
      opens[#opens + 1], opens[#opens + 2] = moment, name
    end
  end
  in_parts('HDEL', flow_key(q, 'use'), unused)
  in_parts('HSET', flow_key(q, 'use'), use)
  in_parts('ZADD', flow_key(q, 'tat'), tats)
  write_fields(flow_key(q, 'booked'), booked)
  write_fields(flow_key(q, 'passed'), flow.passed)
  in_parts('ZREM', flow_key(q, 'opens'), no_opens)
  in_parts('ZADD', flow_key(q, 'opens'), opens)
  if flow.has_waits_changed then
    write_waits(q, flow)
  end
end

-- Adds what a run has taken to the tag of its group, or of the ready list, if that is kept.
local function charge_run(flow, priority, key, seconds)
  if key then
    local line = line_in(flow, priority, key)
    local group = flow.groups[priority][line.group]
    if group.is_in_turn or group.is_tagged then
      group.tag, group.is_changed = group.tag + seconds / group.weight, true
    end
  elseif flow.plain[priority] > 0 then
    flow.plain[priority] = flow.plain[priority] + seconds
    note_cfg(flow, 'plain', priority)
  end
end

-- Reads the lines of leases that end, gives their slots back, and lets turns by time count `seconds`, one a lease.
local function end_slots(q, flow, members, seconds)
  local keys = free_slots(q, flow, members)
  if flow.by_time then
    local lines = {}
    for n, member in ipairs(members) do
      lines[#lines + 1] = keys[n] and line_in(flow, priority_in(member), keys[n]) or nil
    end
    read_groups(q, flow, lines)
    for n, member in ipairs(members) do
      charge_run(flow, priority_in(member), keys[n], seconds[n])
    end
  end
end

-- Lets the groups of lines have a turn again that has not been used, one a line; a group is one turn behind the clock
-- by that at most. Where turns are by time, none has been counted.
local function take_back_turns(q, flow, lines)
  if flow.by_time then
    return
  end
  read_groups(q, flow, lines)
  for _, line in ipairs(lines) do
    local group = flow.groups[line.priority][line.group]
    local cost = 1 / group.weight
    local least = flow.v[line.priority] - cost
    if (group.is_in_turn or group.is_tagged) and group.tag > least then
      group.tag, group.is_changed = math.max(group.tag - cost, least), true
    end
  end
end

-- Whether one of the lines that jobs enter is in turn.
local function is_startable_in(flow)
  for _, line in ipairs(flow.entered) do
    if line.state == 'r' then
      return true
    end
  end
  return false
end

-- What ends of leases and places of jobs change: to be called before the script writes. Returns whether a worker is to
-- be woken.
local function plan_entered(q, flow, looks_at_time)
  read_entered(q, flow)
  local is_any_on = (looks_at_time or next(flow.freed) ~= nil) and pass_baton(q, flow)
  flow.is_clean = flow.is_any_forgotten and redis.call('HLEN', flow_key(q, 'lines')) + flow.all_lines == 0
  check_flow(q, flow)
  for _, moment in pairs(flow.opens) do
    -- The keeper of the queue's timer may have set it to a later time.
    is_any_on = is_any_on or moment ~= ''
  end
  return is_any_on or is_startable_in(flow)
end

-- Forgets the tags of a queue that has no lines any more.
local function forget_tags(q, flow)
  for priority = 0, 3 do
    redis.call('DEL', flow_key(q, 'turns:' .. priority), flow_key(q, 'tags:' .. priority))
    flow.cfg['v:' .. priority], flow.cfg['plain:' .. priority] = '', ''
  end
end

-- Writes all that has changed; ringing is for the caller.
local function write_flow(q, flow)
  for _, line in pairs(flow.lines) do
    write_line(q, line)
  end
  for priority = 0, 3 do
    write_groups_of(q, flow, priority)
  end
  if flow.is_clean then
    forget_tags(q, flow)
  end
  write_fields(flow_key(q, 'lines'), flow.states)
  in_parts('HDEL', flow_key(q, 'slots'), flow.no_slots)
  in_parts('HSET', flow_key(q, 'slots'), flow.slots)
  if flow.kind == '2' then
    write_gates(q, flow)
  end
  write_fields(q.cfg, flow.cfg)
end
