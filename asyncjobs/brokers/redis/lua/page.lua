-- page: some of the jobs in one place, all or those of one tenant.
--- @args place, after, limit: int, tenant
-- place   'ready', 'scheduled', 'running', 'parked' or 'dead'    tenant  '' for all
-- after   `next` of the page before, '' for the first
--- @reply next, jobs
-- next    the cursor of the next page, '' if there is none
-- jobs    {id, record, tries, due time, fence or time of death, …}, in the order of the place; entries that no longer
--         count, or are another tenant's, are left out
-- cost    O(log n + limit), of running jobs O(n log n) in their number; for a list of which the beginning was taken since
--         the last page, O(n) in its pages so far
--- @include parking
--- @include gone
local ids, numbers, cursor = {}, {}, ''
-- Of each id from a list: the list, and where in it the entry stands, from 0.
local lists_of, positions = {}, {}

local function take(id, number)
  ids[#ids + 1] = id
  numbers[#ids] = number
end

-- Lists. A cursor names the list, how many of its entries have been looked at, and the last of these.

-- How many entries stand before the next one: those in front may have been claimed since the last page.
local function passed_over(key, count, last)
  if count == 0 or redis.call('LINDEX', key, count - 1) == last then
    return count
  end
  local at = redis.call('LPOS', key, last, 'MAXLEN', count)
  return at and at + 1 or 0
end

local function take_lists(lists)
  local from, count, last = string.match(after, '^([^\n]*)\n(%d+)\n(.*)$')
  local has_come = after == ''
  for _, list in ipairs(lists) do
    local start = 0
    if not has_come and list.name >= from then
      has_come = true
      start = list.name == from and passed_over(list.key, tonumber(count), last) or 0
    end
    if has_come then
      if #ids >= limit then
        if redis.call('LLEN', list.key) > start then
          return
        end
      else
        local found = redis.call('LRANGE', list.key, start, start + limit - #ids - 1)
        for n, id in ipairs(found) do
          take(id, 0)
          lists_of[#ids], positions[#ids] = list, start + n - 1
        end
        if #found > 0 then
          local stop = start + #found
          cursor = list.name .. '\n' .. stop .. '\n' .. found[#found]
          if redis.call('LLEN', list.key) > stop then
            return
          end
        end
      end
    end
  end
  cursor = ''
end

-- Whether an entry of a list still counts: its job is in that list, and the entry is none of the first, which are gone.
local function counts_in(list, position, id, record)
  if not is_readable(record) then
    return true
  elseif is_ended(record) or list_of(record) ~= list.where then
    return false
  end
  local gone = redis.call('HGET', q.gone, gone_field(list.where, id))
  for _, at in ipairs(gone and redis.call('LPOS', list.key, id, 'COUNT', gone) or {}) do
    if at == position then
      return false
    end
  end
  return true
end

-- Sorted sets. A cursor is the score and the member of the last entry.

-- How many entries stand before that entry, and it among them with `inclusive`; also where it has gone meanwhile.
local function rank_of(key, score, member, inclusive)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = redis.call('ZCOUNT', key, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local there = redis.call('ZRANGE', key, middle, middle)[1]
    if there < member or (inclusive and there == member) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- By rising score, or by falling score with `latest_first`. An id stands behind the first `prefix` bytes of its member.
local function take_set(key, prefix, latest_first)
  local score, member = string.match(after, '^(%S+) (.*)$')
  local found, left
  if latest_first then
    local stop = score and rank_of(key, score, member, false) or redis.call('ZCARD', key)
    local start = math.max(0, stop - limit)
    found = stop > 0 and redis.call('ZRANGE', key, start, stop - 1, 'WITHSCORES') or {}
    left = start
  else
    local start = score and rank_of(key, score, member, true) or 0
    found = redis.call('ZRANGE', key, start, start + limit - 1, 'WITHSCORES')
    left = redis.call('ZCARD', key) - start - #found / 2
  end
  for n = 1, #found, 2 do
    local at = latest_first and #found - n or n
    take(string.sub(found[at], prefix + 1), tonumber(found[at + 1]))
    if left > 0 and n == #found - 1 then
      cursor = found[at + 1] .. ' ' .. found[at]
    end
  end
end

-- Leased jobs, by fence and id: their deadlines change while they run. There are never more than all slots of workers.
local function take_runs()
  local fence, id = string.match(after, '^(%d+) (.*)$')
  local behind, runs = {fence = tonumber(fence) or -1, id = id or ''}, {}
  local function comes_before(one, other)
    return one.fence < other.fence or (one.fence == other.fence and one.id < other.id)
  end
  for _, member in ipairs(redis.call('ZRANGE', q.leased, 0, -1)) do
    local its_fence, its_id = string.match(member, '^(%d+):%d:(.*)$')
    local run = {fence = tonumber(its_fence), id = its_id}
    if comes_before(behind, run) then
      runs[#runs + 1] = run
    end
  end
  table.sort(runs, comes_before)
  for n = 1, math.min(limit, #runs) do
    take(runs[n].id, runs[n].fence)
  end
  if #runs > limit then
    cursor = runs[limit].fence .. ' ' .. runs[limit].id
  end
end

if place == 'ready' then
  local lists = {}
  for priority = 0, 3 do
    lists[priority + 1] = {name = tostring(priority), where = priority, key = q.ready[priority]}
  end
  take_lists(lists)
elseif place == 'parked' then
  local lists, labels = {}, redis.call('HKEYS', q.parked)
  table.sort(labels)
  for n, label in ipairs(labels) do
    lists[n] = {name = label, where = label, key = parked_jobs_key(q, label)}
  end
  take_lists(lists)
elseif place == 'scheduled' then
  take_set(q.scheduled, 2, false)
elseif place == 'running' then
  take_runs()
else
  take_set(tenant == '' and q.dead or tenant_dead_key(q, tenant), 0, true)
end

local jobs = {}
for n, id in ipairs(ids) do
  local record = redis.call('GET', job_key(q, id))
  local is_here = record and (not lists_of[n] or counts_in(lists_of[n], positions[n], id, record))
  if is_here and (tenant == '' or tenant_in(record) == tenant) then
    jobs[#jobs + 1] = id
    jobs[#jobs + 1] = record
    jobs[#jobs + 1] = redis.call('HGET', q.tries, id) or ''
    jobs[#jobs + 1] = numbers[n]
  end
end
return {cursor, jobs}
