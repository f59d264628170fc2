-- sample: the names and tenants of some of the jobs in one place, taken from PLACES parts of it.
--- @args place, limit: int
-- place  as of page    limit  how many entries to look at, at most PLACES more
--- @reply looked, names, tenants
-- looked   how many jobs were there
-- names    {name, how many of them have it, …}; '' for those that can't be read
-- tenants  {tenant, how many of them are its, …}; without the jobs of no tenant
-- cost    O(limit), and of lists O(n / 100) to get to each part
--- @include records
--- @include leases
--- @include parking
local PLACES = 20

-- The parts of a place: lists {key, where}, with `where` as for list_of, or one sorted set {key}, whose members have an
-- id behind `prefix` bytes, or are leases.
local function parts_of_place()
  local parts = {}
  if place == 'ready' then
    for priority = 0, 3 do
      parts[priority + 1] = {key = q.ready[priority], where = priority}
    end
    for n, field in ipairs(redis.call('HKEYS', flow_key(q, 'lines'))) do
      parts[n + 4] = {key = line_key(q, field), where = line_where(field)}
    end
  elseif place == 'parked' then
    for n, label in ipairs(redis.call('HKEYS', q.parked)) do
      parts[n] = {key = parked_jobs_key(q, label), where = label}
    end
  elseif place == 'scheduled' then
    parts[1] = {key = q.scheduled, prefix = 2}
  elseif place == 'running' then
    parts[1] = {key = q.leased}
  else
    parts[1] = {key = q.dead, prefix = 0}
  end
  return parts
end

local function id_in(part, entry)
  if part.where then
    return entry
  elseif part.prefix then
    return string.sub(entry, part.prefix + 1)
  end
  local _, _, id = read_member(entry)
  return id
end

local looked, names, tenants = 0, {}, {}

local function count(part, first, last)
  local entries, ids = redis.call(part.where and 'LRANGE' or 'ZRANGE', part.key, first, last), {}
  for n, entry in ipairs(entries) do
    ids[n] = id_in(part, entry)
  end
  for _, head in ipairs(heads_of(q, ids)) do
    local is_read = head and is_readable(head)
    local is_here = head and not (is_read and (is_ended(head) or (part.where and list_of(head) ~= part.where)))
    if is_here then
      local name, tenant = is_read and name_of(head) or '', tenant_in(head)
      looked, names[name] = looked + 1, (names[name] or 0) + 1
      if tenant ~= '' then
        tenants[tenant] = (tenants[tenant] or 0) + 1
      end
    end
  end
end

local parts, total = parts_of_place(), 0
for _, part in ipairs(parts) do
  part.size = redis.call(part.where and 'LLEN' or 'ZCARD', part.key)
  total = total + part.size
end
local step = math.ceil(limit / PLACES)
for place_number = 0, PLACES - 1 do
  local first = math.floor(place_number * total / PLACES)
  local stop, before = math.min(first + step, math.floor((place_number + 1) * total / PLACES)), 0
  for _, part in ipairs(parts) do
    local from, to = math.max(first - before, 0), math.min(stop - before, part.size) - 1
    if from <= to then
      count(part, from, to)
    end
    before = before + part.size
  end
end

local function listed(counts)
  local list = {}
  for which, number in pairs(counts) do
    list[#list + 1] = which
    list[#list + 1] = number
  end
  return list
end

return {looked, listed(names), listed(tenants)}
