-- Which jobs a claim looks at, and in which order.
--- @include ready
--- @include gone
--- @include fields
--- @include fitting
--- @include tries
local MAX_PROMOTED = 1000

-- What is due, by priority, and the members of the scheduled set that it is.
local function read_due(q, now)
  if redis.call('EXISTS', q.scheduled) == 0 then
    return {}, {}
  end
  local due, members = {}, redis.call('ZRANGEBYSCORE', q.scheduled, '-inf', now, 'LIMIT', 0, MAX_PROMOTED)
  for _, member in ipairs(members) do
    line_up(due, math.min(tonumber(string.sub(member, 1, 1)) or 3, 3), string.sub(member, 3))
  end
  return due, members
end

-- How many entries of each candidate are to be passed over, the first ones.
local function read_skips(q, ids, priorities)
  if redis.call('EXISTS', q.gone) == 0 then
    return {}
  end
  local fields = {}
  for n, id in ipairs(ids) do
    fields[n] = gone_field(priorities[n], id)
  end
  return values_of(q.gone, fields)
end

-- Whether a job with these tries must wait, since jobs under which a worker has died are tried in a small company.
local suspects_left, may_be_last = suspects, last_one
local function must_wait(tries)
  local _, deaths = read_tries(tries)
  if deaths == 0 then
    return false
  end
  local is_last = deaths + 1 >= max_deaths
  if suspects_left < 1 or (is_last and not may_be_last) then
    return true
  end
  suspects_left, may_be_last = is_last and 0 or suspects_left - 1, false
  return false
end

-- Reads up to `window` entries: by priority what is ready, and behind it what is due. As of `candidates`, and
--   is_due  whether it was due, by the entry
local function read_entries(q, window, now, is_paused)
  local due, promoted = read_due(q, now)
  local ids, priorities, is_due, taken, more = {}, {}, {}, {}, false
  for step = 0, 3 do
    local priority = lowest_first and 3 - step or step
    local first, room = #ids, is_paused and 0 or window - #ids
    if room > 0 then
      -- One more than there is room for tells whether there are more.
      local ready = redis.call('LRANGE', q.ready[priority], 0, room)
      for n = 1, math.min(#ready, room) do
        ids[first + n] = ready[n]
      end
      taken[priority] = #ids > first and #ids - first or nil
      more = more or #ready > room
    elseif due[priority] or not more then
      more = redis.call('LLEN', q.ready[priority]) > 0 or more
    end
    local rest = {}
    for _, id in ipairs(due[priority] or rest) do
      local list = #ids - first < room and ids or rest
      list[#list + 1] = id
      if list == ids then
        is_due[#ids] = true
      end
    end
    due[priority] = rest[1] and rest or nil
    for n = first + 1, #ids do
      priorities[n] = priority
    end
    more = more or rest[1] ~= nil
  end
  return {
    ids = ids, priorities = priorities, is_due = is_due, taken = taken, kept = {}, due = due, promoted = promoted,
    more = more, tries = values_of(q.tries, ids),
  }
end

-- Leaves only those entries whose number is in `chosen`, in its order. Of the others, what is due goes to the due ones,
-- and what stands before the last chosen one of its list is kept for the front of that.
local function leave_only(found, chosen)
  local ids, priorities, tries, is_chosen, seen, passed, late = {}, {}, {}, {}, {}, {}, {}
  for n, at in ipairs(chosen) do
    ids[n], priorities[n], tries[n], is_chosen[at] = found.ids[at], found.priorities[at], found.tries[at], true
  end
  found.taken = {}
  for at, id in ipairs(found.ids) do
    local priority = found.priorities[at]
    if found.is_due[at] then
      if not is_chosen[at] then
        line_up(late, priority, id)
      end
    else
      seen[priority] = (seen[priority] or 0) + 1
      if not is_chosen[at] then
        line_up(passed, priority, id)
      else
        found.taken[priority] = seen[priority]
        for _, one in ipairs(passed[priority] or {}) do
          line_up(found.kept, priority, one)
        end
        passed[priority] = nil
      end
    end
  end
  for priority, due in pairs(found.due) do
    for _, id in ipairs(due) do
      line_up(late, priority, id)
    end
  end
  found.ids, found.priorities, found.tries, found.due = ids, priorities, tries, late
end

-- The numbers of the first `want` entries that need not wait, and whether any must. Entries behind them are `more`.
local function choose(found, want)
  local chosen, is_waiting = {}, false
  for n = 1, #found.ids do
    if #chosen == want then
      found.more = true
      break
    elseif found.tries[n] and must_wait(found.tries[n]) then
      is_waiting = true
    else
      chosen[#chosen + 1] = n
    end
  end
  return chosen, is_waiting
end

-- Reads up to `want` candidates, as many as fit into the bytes.
--   ids, priorities, records, tries, skips   one a candidate
--   taken      priority -> how many entries of its list are candidates, or stand before one
--   kept       priority -> those of them that are no candidates
--   due        priority -> what is due and is no candidate
--   promoted   members of the scheduled set that are candidates, or in `due`
--   more       whether jobs are left that this worker could take and that are no candidates
local function candidates(q, want, now, is_paused)
  local found, left, last = read_entries(q, want, now, is_paused), suspects_left, may_be_last
  local chosen, is_waiting = choose(found, want)
  if is_waiting and #chosen < want and found.more then
    suspects_left, may_be_last = left, last
    found = read_entries(q, want + SUSPECTS_PASSED, now, is_paused)
    chosen = choose(found, want)
    found.more = found.more and #chosen > 0
  end
  local ids = {}
  for n, at in ipairs(chosen) do
    ids[n] = found.ids[at]
  end
  local records = read_fitting(q, ids)
  local does_not_fit = #records < #chosen
  if is_waiting or does_not_fit then
    leave_only(found, {unpack(chosen, 1, #records)})
  end
  found.more = found.more or does_not_fit
  found.records, found.skips = records, read_skips(q, found.ids, found.priorities)
  return found
end
