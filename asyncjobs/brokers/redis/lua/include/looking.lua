-- Lists of ids, ready lists and those of lines, at which a claim looks from their fronts while it plans.
--- @include flow
--- @include choice
--- @include company

-- Makes `list`, a line or the ready list of a priority, one of ids that is looked at from its front, and returns it.
-- `behind`: ids that follow those in Redis. `kept`: the numbers of those that were passed over and stay.
local function begin_list(list, key, behind, step)
  list.list, list.behind, list.step = key, behind, step
  list.ids, list.at, list.stored, list.kept = none, 0, 0, none
  return list
end

-- Where its ids are, as of gone_field.
local function where_of(list)
  return list.field and line_where(list.field) or list.priority
end

local function read_more(q, flow, list)
  if list.stored > 0 then
    list.step = math.min(2 * list.step, MAX_PASSED)
  end
  local found = redis.call('LRANGE', list.list, list.stored, list.stored + list.step - 1)
  local ids, first, count = list.ids, list.stored + 1, #found
  if first == 1 then
    ids, list.ids = found, found
  else
    for n, id in ipairs(found) do
      ids[list.stored + n] = id
    end
  end
  list.stored = list.stored + count
  if count < list.step then
    list.is_whole = true
    for _, id in ipairs(list.behind) do
      ids[#ids + 1] = id
    end
  end
  if flow.has_gone then
    local fields, where = {}, where_of(list)
    for n = first, #ids do
      fields[#fields + 1] = gone_field(where, ids[n])
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
  if not list.skips[n] then
    return false
  end
  if list.judged ~= n then
    list.judged, list.entries = n, entries_of(flow.gone, where_of(list), id, list.skips[n])
  end
  local entries = list.entries
  return is_gone(entries.value, entries.seen) and entries
end

-- The next id of a list, and its tries, with what is to be passed over taken out of it; nil where there is none. With
-- `takes_all`, only entries that are gone are passed over. In a last plan, nothing is looked at behind a job that
-- is not known.
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
      local entries, fate = list.skips and is_next_gone(flow, list, n, id), not takes_all and flow.fates[id]
      local tries = list.tries and list.tries[n]
      local waits = tries and must_wait(tries)
      if not entries and (waits or not fate) then
        if flow.known and not (takes_all or waits or flow.known[id]) then
          flow.is_bounded = true
          return nil
        end
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
        if list.field then
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

-- The next entry of a list was looked at, and stays: it still is the first one of its id if it was.
local function note_looked(list)
  if list.entries and list.judged == list.at + 1 then
    list.entries.is_first = list.entries.seen == 1
  end
end

-- The next job of a list, and its tries, with those that must wait passed over, up to MAX_STAYING.
local function next_in(q, flow, list)
  local next_id = flow.is_plain and list.ids[list.at + 1]
  if next_id then
    return next_id
  end
  while true do
    local id, tries = peek(q, flow, list)
    if not (id and tries and must_wait(tries)) then
      return id, tries
    end
    if #list.kept >= MAX_STAYING then
      return nil
    end
    note_looked(list)
    list.at = list.at + 1
    add_to(list, 'kept', list.at)
  end
end

-- What a plan leaves of a list: how many go from its front, which of these come back to it, and what goes to its end.
local function left_of(list)
  local taken_to, kept, rest = list.taken_to or 0, none, none
  if not (list.kept[1] or list.behind[1]) then
    return math.min(taken_to, list.stored), kept, rest
  end
  kept, rest = {}, {}
  for _, n in ipairs(list.kept) do
    if n > list.stored then
      rest[#rest + 1] = list.ids[n]
    elseif n <= taken_to then
      kept[#kept + 1] = list.ids[n]
    end
  end
  local taken_due = math.max(0, (list.is_whole and list.at or 0) - list.stored)
  for n = taken_due + 1, #list.behind do
    rest[#rest + 1] = list.behind[n]
  end
  return math.min(taken_to, list.stored), kept, rest
end
