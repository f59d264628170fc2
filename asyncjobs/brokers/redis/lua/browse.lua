-- browse: a page of the jobs in one place, all or those of one tenant.
--- @args place, offset: int, limit: int, tenant
-- place   'ready', 'scheduled', 'running' or 'parked'    tenant  '' for all
--- @reply looked_at, jobs
-- looked_at  how many entries were looked at; those of jobs that were taken out, or are another tenant's, are left out
-- jobs       {id, record, tries, due time or fence, …}, in the order in which they will start
-- cost       O(offset + limit)
--- @include header
--- @include leases
local ids, numbers = {}, {}

local function take_list(key)
  local length = redis.call('LLEN', key)
  if #ids < limit and offset < length then
    for _, id in ipairs(redis.call('LRANGE', key, offset, offset + limit - #ids - 1)) do
      ids[#ids + 1] = id
      numbers[#ids] = 0
    end
  end
  offset = math.max(0, offset - length)
end

if place == 'ready' then
  for priority = 0, 3 do
    take_list(q.ready[priority])
  end
elseif place == 'parked' then
  local labels = redis.call('HKEYS', q.parked)
  table.sort(labels)
  for _, label in ipairs(labels) do
    take_list(parked_jobs_key(q, label))
  end
elseif place == 'scheduled' then
  local found = redis.call('ZRANGE', q.scheduled, offset, offset + limit - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    ids[#ids + 1] = string.sub(found[i], 3)
    numbers[#ids] = tonumber(found[i + 1])
  end
else
  for _, member in ipairs(redis.call('ZRANGE', q.leased, offset, offset + limit - 1)) do
    local fence, _, id = read_member(member)
    ids[#ids + 1] = id
    numbers[#ids] = tonumber(fence)
  end
end

local reply, seen = {}, {}
for i, id in ipairs(ids) do
  local record = redis.call('GET', job_key(q, id))
  local lives = record and not (is_readable(record) and is_ended(record))
  local is_here = not lives or not is_readable(record) or (place == 'parked') == is_parked(record)
  local is_wanted = lives and is_here and (tenant == '' or tenant_in(record) == tenant)
  if is_wanted and not seen[id] then
    seen[id] = true
    reply[#reply + 1] = id
    reply[#reply + 1] = record
    reply[#reply + 1] = redis.call('HGET', q.tries, id) or ''
    reply[#reply + 1] = numbers[i]
  end
end
return {#ids, reply}
