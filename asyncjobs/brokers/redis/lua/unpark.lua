-- unpark: jobs set aside because a worker didn't know their name or couldn't read them, or because their name or
-- tenant was held, go back to the front once none of that holds; those whose name no worker has known for the grace
-- time go to the dead letter queue.
--- @args grace_ms: ms, limit: int, kept_names
--- @list known
-- limit  how many at most    known, kept_names  the job names that the caller knows (include/names.lua)
-- Jobs go to the front, so those that were parked last go first: those of the next call stand before them then. No job
-- of the queue is claimed until all of them are back, or a call fails to come, so they start in their order.
--- @reply unparked, dead, more, unknown
-- more     1 if there are more for the next call
-- unknown  the names of parked jobs that nothing holds and the caller doesn't know, MAX_UNKNOWN at most
-- reply  nil if there is no set of names
-- cost   O(1) a job unparked, O(log n) a dead one, O(1) a label
--- @include clock
--- @include ready
--- @include checks
--- @include records
--- @include fields
--- @include gone
--- @include ending
--- @include waiters
--- @include parking
--- @include names
--- @include flow

local MAX_UNKNOWN = 1000

-- What becomes of the jobs of one list: 'ready', 'dead', or nil while they stay; and their name if nobody holds it and
-- the caller doesn't know it.
local function fate(label, since, held, now)
  if is_startable(label, held, is_known) then
    return 'ready', nil
  end
  local name = not held[label] and string.match(label, '^' .. BY_NAME .. '(.*)$') or nil
  return name and since + grace_ms <= now and 'dead' or nil, name
end

-- Reads up to `room` jobs of a list, the last ones if they may run, else the first, and what is needed to move them.
local function read_list(q, label, fate, room)
  local key = parked_jobs_key(q, label)
  local is_ready = fate == 'ready'
  local ids = redis.call('LRANGE', key, is_ready and -room or 0, is_ready and -1 or room - 1)
  local fields = {}
  for n, id in ipairs(ids) do
    fields[n] = gone_field(label, id)
  end
  return {
    label = label, fate = fate, key = key, ids = ids, length = redis.call('LLEN', key), records = heads_of(q, ids),
    tries = values_of(q.tries, ids), skips = values_of(q.gone, fields), awaited = awaited_ids(q, ids),
  }
end

local function bury_unknown(q, figures, id, record, tries, now)
  local job = {id = id, record = record}
  job.failures, job.deaths, job.errors = read_tries(tries)
  local message = string.format(UNKNOWN_NAME, is_readable(record) and name_of(record) or '', grace_ms / 1000)
  local attempt = job.failures + job.deaths + 1
  end_dead(q, figures, job, attempt, now, 'UnknownJobName', message, UNKNOWN_NAME_GROUP)
end

-- How many entries of each id are to be passed over, the first ones. At the end of a list, the last entry of an id
-- counts if the job is in this list.
local function skips_of(list)
  local skips, last = {}, {}
  for n, id in ipairs(list.ids) do
    skips[id], last[id] = whole_in(list.skips[n]), n
  end
  if list.fate == 'ready' then
    local counts = {}
    for n, id in ipairs(list.ids) do
      local record = list.records[n]
      counts[id] = (counts[id] or 0) + 1
      if n == last[id] and skips[id] > 0 then
        local is_here = record and is_readable(record) and is_parked(record) and label_of(record) == list.label
        skips[id] = is_here and counts[id] - 1 or counts[id]
      end
    end
  end
  return skips
end

-- What the jobs that may run change in the lines of the queue, to whose front they go; nil if they have none.
local function read_lined(q, lists, now)
  local flow
  for _, list in ipairs(lists) do
    local skipped = {}
    list.skipping, list.lined = skips_of(list), {}
    for n, id in ipairs(list.ids) do
      local record = list.records[n]
      local key = record and list.fate == 'ready' and line_of(record) or ''
      if list.skipping[id] > (skipped[id] or 0) then
        skipped[id] = (skipped[id] or 0) + 1
      elseif key ~= '' then
        flow = flow or read_flow(q, now)
        enter_line(flow, priority_of(record), key, id, true)
        list.lined[n] = true
      end
    end
  end
  if flow then
    plan_entered(q, flow)
  end
  return flow
end

-- Takes the jobs out of their list; those that may run go to `waiting`. Returns how many were unparked, how many died.
local function move(q, list, waiting, figures, now)
  local skips, skipped, unparked, dead = list.skipping, {}, 0, 0
  if list.length <= #list.ids then
    redis.call('DEL', list.key)
    redis.call('HDEL', q.parked, list.label)
  elseif list.fate == 'ready' then
    redis.call('LTRIM', list.key, 0, -#list.ids - 1)
  else
    redis.call('LTRIM', list.key, #list.ids, -1)
  end
  for n, id in ipairs(list.ids) do
    local record = list.records[n]
    if skips[id] > (skipped[id] or 0) then
      skipped[id] = (skipped[id] or 0) + 1
      forget_gone(q, list.label, id)
    elseif record then
      set_kind(job_key(q, id), LIVE)
      if list.fate == 'ready' then
        if not list.lined[n] then
          line_up(waiting, priority_of(record), id)
        end
        unparked = unparked + 1
      else
        bury_unknown(q, figures, id, record, list.tries[n], now)
        dead = dead + 1
      end
    end
  end
  if list.fate == 'dead' then
    tell_waiters(q, list.awaited)
  end
  return unparked, dead
end

local LOOKED_AT = 10

-- Whether there are other entries in a list than those that are gone; of a long list the first ones don't tell.
local function has_jobs(q, label)
  if whole_in(redis.call('HGET', q.cfg, gone_total(label))) == 0 then
    return true
  end
  local ids = redis.call('LRANGE', parked_jobs_key(q, label), 0, LOOKED_AT)
  for _, head in ipairs(heads_of(q, ids)) do
    if head and is_readable(head) and is_parked(head) and label_of(head) == label then
      return true
    end
  end
  return #ids > LOOKED_AT
end

-- What may be moved, the lists by their labels, those that began last first; and the unknown names.
local function movable(q, held, now)
  local parked, found, unknown = redis.call('HGETALL', q.parked), {}, {}
  for n = 1, #parked, 2 do
    local since = whole_in(parked[n + 1])
    local what, name = fate(parked[n], since, held, now)
    if name and #unknown < MAX_UNKNOWN and has_jobs(q, parked[n]) then
      unknown[#unknown + 1] = name
    end
    if what then
      found[#found + 1] = {label = parked[n], since = since, fate = what}
    end
  end
  table.sort(found, function(one, other)
    if one.since ~= other.since then
      return one.since > other.since
    end
    return one.label > other.label
  end)
  return found, unknown
end

local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held', 'unparking')
local now, held = shifted_now(cfg[1]), read_held(cfg[2]) or {}
local lists, room, more = {}, limit, 0
local found, unknown = movable(q, held, now)
for _, one in ipairs(found) do
  local list = room > 0 and read_list(q, one.label, one.fate, room)
  if not list or list.length > #list.ids then
    more = 1
  end
  if list then
    table.insert(lists, 1, list)
    room = room - #list.ids
  end
end
table.sort(lists, function(one, other)
  return one.label < other.label
end)

check_places(q)
local flow = read_lined(q, lists, now)
local unparked, dead, waiting, figures = 0, 0, {}, new_figures()
for _, list in ipairs(lists) do
  local moved, died = move(q, list, waiting, figures, now)
  unparked, dead = unparked + moved, dead + died
end
write_groups(q, now)
if flow then
  write_flow(q, flow)
end
if more == 1 and (next(waiting) or flow) then
  push_before(q, waiting)
  redis.call('HSET', q.cfg, 'unparking', now + UNPARKING_MS)
elseif next(waiting) or flow or cfg[3] then
  push_before(q, waiting)
  redis.call('HDEL', q.cfg, 'unparking')
  ring(q)
end
write_figures(q, figures, now)
return {unparked, dead, more, unknown}
