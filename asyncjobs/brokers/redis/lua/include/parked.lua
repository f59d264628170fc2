-- Parked jobs that a claim leases from where they are: made ready, they could be set aside again by a worker that
-- doesn't know their names.
--- @include fields
--- @include fitting
--- @include gone
--- @include parking
--- @include company
--- @include lines

-- Why a job must be parked, if it must: the kind of its record, and its label.
local function parking(record, held)
  if (any_name and not held) or not is_readable(record) then
    return nil
  end
  local name = name_of(record)
  if (not any_name and not is_known[name]) or (held and held[BY_NAME .. name]) then
    return PARKED_BY_NAME, BY_NAME .. name
  elseif held and held[BY_TENANT .. tenant_of(record)] then
    return PARKED_BY_TENANT, BY_TENANT .. tenant_of(record)
  end
end

-- The first entries of a list, enough for `room` jobs: ids and places of those that count, ids of those that don't.
local function read_entries(q, label, room)
  local gone = math.min(whole_in(redis.call('HGET', q.cfg, gone_total(label))), MAX_PASSED)
  local all, fields = redis.call('LRANGE', parked_jobs_key(q, label), 0, room + gone - 1), {}
  for n, id in ipairs(all) do
    fields[n] = gone_field(label, id)
  end
  local skips, skipped, ids, places, passed = values_of(q.gone, fields), {}, {}, {}, {}
  for n, id in ipairs(all) do
    if whole_in(skips[n]) > (skipped[id] or 0) then
      skipped[id] = (skipped[id] or 0) + 1
      passed[#passed + 1] = {id = id, place = n}
    else
      ids[#ids + 1], places[#ids + 1] = id, n
    end
  end
  return ids, places, passed, #all
end

-- Adds jobs of a list to `own` for as long as `is_next` says so of their priority, and returns how many of its entries
-- are to be taken out.
local function add_own(q, own, label, room, held, is_next)
  local ids, places, passed, count = read_entries(q, label, room)
  local left = bytes_left
  local records, tries = read_fitting(q, ids)
  bytes_left = left
  for n, id in ipairs(ids) do
    local record = records[n]
    local is_own = record and is_next(priority_of(record)) and not (tries[n] and must_wait(tries[n]))
      and not parking(record, held) and line_of(record) == '' and fits(record, tries[n])
    if is_own then
      if tries[n] then
        join_company(tries[n])
      end
      own.ids[#own.ids + 1] = id
      own.records[#own.ids], own.tries[#own.ids] = record, tries[n] or false
    elseif record ~= false then
      count = places[n] - 1
      break
    end
  end
  if count > 0 then
    own.lists[#own.lists + 1] = {
      label = label, count = count, length = redis.call('LLEN', parked_jobs_key(q, label)), passed = passed,
    }
  end
  return count
end

-- Reads parked jobs that may run now, as many as `want` has room for behind the ready and the `due` ones before them.
--   ids, records, tries  one a job
--   lists     the lists from which they are, and how many of their entries are to be taken out
--   has_rest  whether jobs are left that nothing holds, for another worker
local function read_parked(q, want, due, held)
  local own = {ids = {}, records = {}, tries = {}, lists = {}, has_rest = false}
  local labels = redis.call('HKEYS', q.parked)
  if #labels == 0 then
    return own
  end
  local ahead, count_ahead = {}, 0
  for step = 0, 3 do
    local priority = lowest_first and 3 - step or step
    ahead[priority] = count_ahead
    local gone = whole_in(redis.call('HGET', q.cfg, gone_total(priority)))
    count_ahead = count_ahead + redis.call('LLEN', q.ready[priority]) - gone + #(due[priority] or {})
  end
  local function is_next(priority)
    return ahead[priority] + #own.ids < want
  end
  table.sort(labels)
  for _, label in ipairs(labels) do
    if not (held and held[label]) then
      local room, count = want - #own.ids, 0
      if room > 0 and is_startable(label, held, not any_name and is_known or nil) then
        count = add_own(q, own, label, room, held, is_next)
      end
      own.has_rest = own.has_rest or redis.call('LLEN', parked_jobs_key(q, label)) > count
    end
  end
  return own
end

-- Takes them out of their lists.
local function take_parked(q, own)
  for _, list in ipairs(own.lists) do
    if list.length <= list.count then
      redis.call('DEL', parked_jobs_key(q, list.label))
      redis.call('HDEL', q.parked, list.label)
    else
      redis.call('LTRIM', parked_jobs_key(q, list.label), list.count, -1)
    end
    for _, one in ipairs(list.passed) do
      if one.place <= list.count then
        forget_gone(q, list.label, one.id)
      end
    end
  end
  for _, id in ipairs(own.ids) do
    set_kind(job_key(q, id), LIVE)
  end
end
