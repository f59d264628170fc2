-- Which jobs a claim looks at, and in which order.
--- @include ready
--- @include gone
--- @include fields
--- @include fitting
--- @include company
--- @include plain
local MAX_PROMOTED = 1000

-- What is due, by priority, the members of the scheduled set that it is, and whether there is more.
local function read_due(q, now)
  if redis.call('EXISTS', q.scheduled) == 0 then
    return {}, {}, false
  end
  local due, members = {}, redis.call('ZRANGEBYSCORE', q.scheduled, '-inf', now, 'LIMIT', 0, MAX_PROMOTED + 1)
  local has_more = #members > MAX_PROMOTED
  members[MAX_PROMOTED + 1] = nil
  for _, member in ipairs(members) do
    line_up(due, math.min(tonumber(string.sub(member, 1, 1)) or 3, 3), string.sub(member, 3))
  end
  return due, members, has_more
end

-- How many entries of each candidate are to be passed over, the first ones.
local function read_skips(q, ids, priorities)
  local fields = {}
  for n, id in ipairs(ids) do
    fields[n] = gone_field(priorities[n], id)
  end
  return values_of(q.gone, fields)
end

-- Of which candidates it can be told by their tries that they must wait. These count for no bytes: what can be taken is
-- found behind them.
local function read_waiting(q, ids)
  local waiting, STEP = {}, 32
  if (suspects_left > 0 and may_be_last) or redis.call('EXISTS', q.tries) == 0 then
    return waiting
  end
  for first = 1, #ids, STEP do
    local last = math.min(first + STEP - 1, #ids)
    for n, tries in ipairs(redis.call('HMGET', q.tries, unpack(ids, first, last))) do
      waiting[first + n - 1] = tries and must_wait(tries) or nil
    end
  end
  return waiting
end

-- Reads up to `window` candidates: by priority what is ready, and behind it what is `due`.
--   ids, priorities, is_due, skips   one a candidate
--   waiting    number of a candidate -> true, of those that must wait
--   records, tries   of the first candidates, as many as fit into the bytes; none of those that must wait
--   taken      priority -> how many of the candidates were ready
--   rest       priority -> what is due and is no candidate
--   more       whether startable jobs are left that are no candidates
local function read_candidates(q, window, due, is_paused)
  local ids, priorities, is_due, taken, rest, more = {}, {}, {}, {}, {}, false
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
    for _, id in ipairs(due[priority] or {}) do
      if #ids - first < room then
        ids[#ids + 1] = id
        is_due[#ids] = true
      else
        line_up(rest, priority, id)
      end
    end
    for n = first + 1, #ids do
      priorities[n] = priority
    end
    more = more or rest[priority] ~= nil
  end
  local has_more = has_more_than_ready(q)
  local waiting, wanted = has_more and read_waiting(q, ids) or {}, ids
  if next(waiting) then
    wanted = {}
    for n, id in ipairs(ids) do
      -- No job has an empty id.
      wanted[n] = waiting[n] and '' or id
    end
  end
  local records, tries = read_fitting(q, wanted)
  return {
    ids = ids, priorities = priorities, is_due = is_due, taken = taken, kept = {}, rest = rest, more = more,
    waiting = waiting, records = records, tries = tries, skips = has_more and read_skips(q, ids, priorities) or {},
  }
end

-- Leaves those candidates where they are that are in `waiting`, and those from the number `stop` on. What is due joins
-- the rest of that, and what stands before another candidate of its list is `kept` for the front of the list.
local function leave(found, waiting, stop)
  local seen, passed, rest = {}, {}, {}
  found.taken = {}
  for n, id in ipairs(found.ids) do
    local priority, stays = found.priorities[n], waiting[n] or n >= stop
    if found.is_due[n] then
      if stays then
        line_up(rest, priority, id)
      end
    else
      seen[priority] = (seen[priority] or 0) + 1
      if stays then
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
  for priority, ids in pairs(found.rest) do
    for _, id in ipairs(ids) do
      line_up(rest, priority, id)
    end
  end
  found.rest = rest
end
