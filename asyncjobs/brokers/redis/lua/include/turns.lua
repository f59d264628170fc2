-- Whose turn it is: how a claim chooses jobs where some wait in lines (core/lines.py). All is planned by reads alone;
-- where the plan names jobs that are not to be leased, it is made once more.
--- @include picks
--- @include fitting
--- @include parked
local MAX_PLANS = 12

-- What the plan leaves of the ready lists, as of read_candidates: `taken`, `kept` and `rest`.
local function leave_ready(found, priority, plain)
  local taken, kept, rest = left_of(plain)
  found.taken[priority] = taken > 0 and taken or nil
  found.kept[priority], found.rest[priority] = kept[1] and kept or nil, rest[1] and rest or nil
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
    note_looked(flow.ready[priority])
    leave_ready(found, priority, flow.ready[priority])
    for _, group in pairs(flow.groups[priority]) do
      if group.behind_at and group.behind_at > 0 then
        group.behind = {unpack(group.behind, group.behind_at + 1)}
      end
    end
  end
  for _, line in pairs((flow.is_plain and not flow.entered[1] and flow.all_wait == 0) and none or flow.lines) do
    if line.ids then
      note_looked(line)
      line.taken_to, line.ahead, line.behind = left_of(line)
    end
    if line.has_run then
      note_freed(flow, line.gates)
    end
  end
  local sorted = new_sorted(flow.gone, {})
  for n, id in ipairs(own.ids) do
    add_lease(sorted, run, id, own.records[n], own.tries[n])
  end
  local ids, records, tries, from, slots = flow.ids, flow.records, flow.tries, flow.from, flow.slots
  local counts, slot_count = {}, 0
  for n = 1, flow.count do
    local id, line = ids[n], from[n]
    local member = add_lease(sorted, run, id, records[id], tries[n])
    if line.key then
      counts[line.priority] = (counts[line.priority] or 0) + 1
      if line.gates[1] or flow.by_time then
        slots[slot_count + 1], slots[slot_count + 2] = member, line.key
        slot_count = slot_count + 2
      end
    end
  end
  for priority, count in pairs(counts) do
    count_lined(flow, priority, -count)
  end
  for _, id in ipairs(flow.parks) do
    local fate = flow.fates[id]
    sorted.parked[fate.label] = sorted.parked[fate.label] or {kind = fate.kind}
    table.insert(sorted.parked[fate.label], id)
  end
  found.more = is_more_left(q, flow, found, want)
  return found, sorted
end

-- Notes the fates of the next `count` jobs of a list, since some before them are to be parked, and of as many that must
-- wait: once those are parked, one of these is the next.
local function look_ahead(q, flow, list, held, count)
  while #list.ids < list.at + count and not list.is_whole do
    read_more(q, flow, list)
  end
  local ids = {unpack(list.ids, list.at + 1, math.min(#list.ids, list.at + count))}
  for n = 1, math.min(count, #list.kept) do
    ids[#ids + 1] = list.ids[list.kept[n]]
  end
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
  local STEP, good, lists, ids = 32, nil, {}, flow.ids
  for first = 1, flow.count, STEP do
    local last, wanted = math.min(first + STEP - 1, flow.count), {}
    for n = first, last do
      if records[ids[n]] == nil then
        wanted[#wanted + 1] = ids[n]
      end
    end
    for n, record in ipairs(wanted[1] and redis.call('MGET', unpack(record_keys(q, wanted))) or {}) do
      records[wanted[n]] = record
    end
    for n = first, last do
      local id = ids[n]
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
    plan(q, flow, room, most_gated - #own.ids, dues, fates, attempt >= MAX_PLANS - 1 and records or nil)
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
      local more = 16 * 2 ^ attempt
      bytes_left, suspects_left, may_be_last = bytes, left, last
      flow = read_flow(q, run.now)
      plan(q, flow, math.min(room + more, MAX_PASSED), most_gated - #own.ids + more, dues, fates)
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
