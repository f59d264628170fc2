-- cancel: waiting jobs end here and now; running ones are marked, and their workers learn of it by extend.
-- They are told to look, on a channel of their own.
--- @args reason, keep_ms: ms
--- @list ids
-- keep_ms  how long the records of those that end are kept
-- reply    'unknown', 'ended', 'failed', 'running' (marked) or 'cancelled', one a job
-- cost     O(log n) a job
--- @include clock
--- @include records
--- @include fields
--- @include place
--- @include gone
--- @include parking
--- @include ending
--- @include leases
--- @include forget
--- @include waiters
--- @include unique
local records, runs = records_of(q, ids), values_of(q.fences, ids)

-- So many entries that went before are looked at in all lists together, beside those of this call.
local LOOKED_AT = 100

-- What is to be done to a list, of which the jobs `cancelled` (id -> true) end: how many of the first `most` entries
-- are gone then, and are taken out, so that no claim has to pass over all of a queue that was purged.
--   key, length, front   changes  id -> {the value of its field of `gone`, how many entries fewer are gone}
local function read_list(where, cancelled, most)
  local key = list_key(q, where)
  local first, fields = redis.call('LRANGE', key, 0, most - 1), {}
  for n, id in ipairs(first) do
    fields[n] = gone_field(where, id)
  end
  local list = {key = key, length = redis.call('LLEN', key), front = 0, changes = {}}
  local values, passed = values_of(q.gone, fields), {}
  for n, id in ipairs(first) do
    local value, own = whole_in(values[n] or 0), cancelled[id] and 1 or 0
    passed[id] = (passed[id] or 0) + 1
    if value < 0 or passed[id] > value + own then
      break
    end
    list.front = n
    list.changes[id] = {value = value + own - passed[id], fewer = passed[id] - own}
  end
  return list
end

-- The lists by priority and label.
local function read_lists(ends)
  local cancelled, counts, lists, size = {}, {}, {}, 0
  for _, job in ipairs(ends) do
    if not job.scheduled then
      local where = list_of(job.record)
      size = size + (cancelled[where] and 0 or 1)
      cancelled[where] = cancelled[where] or {}
      cancelled[where][job.id] = true
      counts[where] = (counts[where] or 0) + 1
    end
  end
  for where, here in pairs(cancelled) do
    lists[where] = read_list(where, here, counts[where] + math.floor(LOOKED_AT / size))
  end
  return lists
end

local function take_fronts(lists)
  for where, list in pairs(lists) do
    if list.front > 0 then
      redis.call('LTRIM', list.key, list.front, -1)
    end
    if list.front == list.length and type(where) ~= 'number' and not is_line(where) then
      redis.call('HDEL', q.parked, where)
    end
    for id, change in pairs(list.changes) do
      if change.value > 0 or change.fewer > 0 then
        set_gone(q, where, id, change.value, change.fewer)
      end
    end
  end
end

local reply, ends, ended, marks, workers, seen = {}, {}, {}, {}, {}, {}
for i, id in ipairs(ids) do
  local record = records[i]
  if not record then
    reply[i] = 'unknown'
  elseif not (is_readable(record) or is_newer(record)) then
    reply[i] = 'failed'
  elseif is_ended(record) or seen[id] then
    reply[i] = 'ended'
  else
    local place, detail = place_of(q, id, record, runs[i] or false)
    local field = priority_of(record) .. ':' .. id
    if place == 'failed' then
      reply[i] = 'failed'
    elseif place == 'running' then
      reply[i] = 'running'
      marks[#marks + 1] = string.match(detail, '^%d+') .. ':' .. field
      marks[#marks + 1] = reason
      workers[worker_in(detail) or ''] = true
    else
      reply[i] = 'cancelled'
      seen[id] = true
      ended[#ended + 1] = id
      ends[#ends + 1] = {id = id, record = record, scheduled = place == 'scheduled' and field}
    end
  end
end
local tries, cancelled = values_of(q.tries, ended), {}
for n, job in ipairs(ends) do
  cancelled[n] = job.record
end
local keys = keys_left(q, ended, cancelled)
local awaited = awaited_ids(q, ended)
local now, lists = now_ms(q), read_lists(ends)

if #marks == 0 and #ends == 0 then
  return reply
end
redis.call('HLEN', q.cancels)
redis.call('HLEN', q.parked)
check_gone(q)
begin_writes(q)
if #marks > 0 then
  redis.call('HSET', q.cancels, unpack(marks))
end
for worker in pairs(workers) do
  redis.pcall('PUBLISH', cancel_news_key(q, worker), '')
end
take_fronts(lists)
local figures = new_figures()
for n, job in ipairs(ends) do
  local where = not job.scheduled and list_of(job.record)
  if job.scheduled then
    redis.call('ZREM', q.scheduled, job.scheduled)
  elseif not lists[where].changes[job.id] then
    add_gone(q, where, job.id)
  end
  count_left(q, where)
  local failures, deaths = read_tries(tries[n])
  end_cancelled(q, figures, job, failures + deaths + 1, now, reason, keep_ms)
end
forget_live(q, ended)
remove_fields(q.unique, keys)
write_figures(q, figures, now)
tell_waiters(q, awaited)
return reply
