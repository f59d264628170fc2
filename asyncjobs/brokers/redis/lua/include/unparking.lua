-- The way of parked jobs out of their lists.
--- @include ready
--- @include records
--- @include fields
--- @include gone
--- @include parking

-- Whether the jobs of a list may run. `held`: the labels that are held, nil for none; `is_known`: a set of job names,
-- nil for any name.
local function is_startable(label, held, is_known)
  if held and held[label] then
    return false
  end
  local name = string.match(label, '^' .. BY_NAME .. '(.*)$')
  local unread = string.match(label, '^' .. BY_VERSION .. '(%d+)$')
  return (not name or not is_known or is_known[name] ~= nil) and (not unread or tonumber(unread) < VERSION)
end

-- Reads the first entries of a list, or the last ones, and what is needed to take them out.
local function read_list(q, label, count, is_end)
  local key = parked_jobs_key(q, label)
  local ids, fields = redis.call('LRANGE', key, is_end and -count or 0, is_end and -1 or count - 1), {}
  for n, id in ipairs(ids) do
    fields[n] = gone_field(label, id)
  end
  return {
    label = label, key = key, ids = ids, is_end = is_end, length = redis.call('LLEN', key),
    records = records_of(q, ids), skips = values_of(q.gone, fields),
  }
end

-- Takes entries behind the first `count` for not read.
local function cut(list, count)
  for n = #list.ids, count + 1, -1 do
    list.ids[n] = nil
  end
end

-- How many entries of each id are to be passed over, the first ones. At the end of a list, the last entry of an id
-- counts if the job is in this list.
local function skips_of(list)
  local skips, last = {}, {}
  for n, id in ipairs(list.ids) do
    skips[id], last[id] = whole_in(list.skips[n]), n
  end
  if list.is_end then
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

-- Calls `visit` with the id and the record of each job, and the place of its entry, until it returns true; calls
-- `pass`, if given, with the id of each entry that no longer counts. Returns how many entries it has gone through.
local function for_each(list, visit, pass)
  local skips, skipped = skips_of(list), {}
  for n, id in ipairs(list.ids) do
    local record = list.records[n]
    if skips[id] > (skipped[id] or 0) then
      skipped[id] = (skipped[id] or 0) + 1
      if pass then
        pass(id)
      end
    elseif record and visit(id, record, n) then
      return n - 1
    end
  end
  return #list.ids
end

-- Takes what was read out of its list; calls `visit`, if given, for each job.
local function take_out(q, list, visit)
  if list.length <= #list.ids then
    redis.call('DEL', list.key)
    redis.call('HDEL', q.parked, list.label)
  elseif list.is_end then
    redis.call('LTRIM', list.key, 0, -#list.ids - 1)
  else
    redis.call('LTRIM', list.key, #list.ids, -1)
  end
  for_each(list, function(id, record, n)
    set_kind(job_key(q, id), LIVE)
    if visit then
      visit(id, record, n)
    end
  end, function(id)
    forget_gone(q, list.label, id)
  end)
end
