-- The entries of one place from a cursor on, in the order of the place: what `page` and `scan` look at. The arguments
-- `place`, `after`, `limit`, `tenant` and `until_ms` are those of `page`; a cursor that is none begins anew.
--- @include bytes
--- @include fields
--- @include gone
--- @include leases
--- @include parking
--- @include rank

-- The entries: ids, what the reply has of each behind the tries, the cursor behind each, and where those
-- from a list stand.
local ids, details, cursors, stands = {}, {}, {}, {}

local function take(id, detail, cursor, list, position)
  ids[#ids + 1] = id
  details[#ids], cursors[#ids] = detail, cursor
  stands[#ids] = list and {list = list, position = position}
end

-- So many jobs may come back to the front of a list between two pages without any being listed twice.
local MAX_CAME_BACK = 10000

-- How many entries of a list stand before the next one: since the last page some in front may have been taken, or come
-- back.
local function passed_over(key, count, last)
  if redis.call('LINDEX', key, count - 1) == last then
    return count
  end
  local at = redis.call('LPOS', key, last, 'MAXLEN', count + MAX_CAME_BACK)
  return at and at + 1 or 0
end

-- Takes entries of lists {name, key, where}, sorted by name; `where` as for gone_field. A cursor says how many entries
-- of a list have been looked at, the last of these, and the name of the list. Returns whether there are more.
local function take_lists(lists)
  local count, last, from = string.match(after, '^(%d+) (%S+) (.*)$')
  count = whole_in(count)
  for _, list in ipairs(lists) do
    if not (from and is_before(list.name, from)) then
      local start = list.name == from and passed_over(list.key, count, last) or 0
      local room = limit - #ids
      local found = room > 0 and redis.call('LRANGE', list.key, start, start + room - 1) or {}
      for n, id in ipairs(found) do
        take(id, 0, start + n .. ' ' .. id .. ' ' .. list.name, list, start + n - 1)
      end
      if redis.call('LLEN', list.key) > start + #found then
        return true
      end
    end
  end
  return false
end

-- Takes entries of a sorted set, those of the highest scores first with `latest_first`; an id stands behind the first
-- `prefix` bytes of its member. A cursor is the score and the member of the last entry. Returns whether there are more.
local function take_set(key, prefix, latest_first)
  local score, last = string.match(after, '^(%S+) (.*)$')
  -- No number, or none that a sorted set can hold: the cursor is none of ours.
  score = tonumber(score) and tonumber(score) == tonumber(score) and score
  local size, start = redis.call('ZCARD', key), 0
  if score then
    local before = rank_of(key, score, last, not latest_first)
    start = latest_first and size - before or before
  elseif latest_first and until_ms > 0 then
    start = redis.call('ZCOUNT', key, until_ms, '+inf')
  end
  local command = latest_first and 'ZREVRANGE' or 'ZRANGE'
  local found = redis.call(command, key, start, start + limit - 1, 'WITHSCORES')
  for n = 1, #found, 2 do
    take(string.sub(found[n], prefix + 1), tonumber(found[n + 1]), found[n + 1] .. ' ' .. found[n])
  end
  return start + #found / 2 < size
end

-- Takes running jobs by fence and id, for their deadlines move; there are never more than all slots of all workers. A
-- cursor is the fence and the id of the last. Returns whether there are more.
local function take_runs()
  local last_fence, last_id = string.match(after, '^(%d+) (.*)$')
  local last, runs = {fence = tonumber(last_fence) or -1, id = last_id or ''}, {}
  local function comes_before(one, other)
    return one.fence < other.fence or (one.fence == other.fence and is_before(one.id, other.id))
  end
  for _, member in ipairs(redis.call('ZRANGE', q.leased, 0, -1)) do
    local fence, _, id = read_member(member)
    local run = {fence = tonumber(fence), id = id}
    if comes_before(last, run) then
      runs[#runs + 1] = run
    end
  end
  table.sort(runs, comes_before)
  local first = {}
  for n = 1, math.min(limit, #runs) do
    first[n] = runs[n].id
  end
  local details_of = values_of(q.fences, first)
  for n, id in ipairs(first) do
    take(id, details_of[n] or tostring(runs[n].fence), runs[n].fence .. ' ' .. id)
  end
  return #runs > limit
end

-- The first `most` fields of lines from one on, in order, and whether there are more: all are read, and few are sorted.
local function first_fields(from, most)
  local found, has_more = {}, false
  local function cut()
    table.sort(found, is_before)
    has_more = has_more or #found > most
    for n = #found, most + 1, -1 do
      found[n] = nil
    end
  end
  local last
  for _, field in ipairs(redis.call('HKEYS', flow_key(q, 'lines'))) do
    if not is_before(field, from) and (not last or is_before(field, last)) then
      found[#found + 1] = field
      if #found == 2 * most then
        cut()
        last = found[most]
      end
    end
  end
  cut()
  return found, has_more
end

-- Takes the entries, and returns whether there are more.
local function take_entries()
  if place == 'ready' then
    local lists = {}
    for priority = 0, 3 do
      lists[priority + 1] = {name = tostring(priority), key = q.ready[priority], where = priority}
    end
    local from, has_more = string.match(after, '^%d+ %S+ 4(.*)$') or '', false
    repeat
      local fields, is_cut = first_fields(from, math.max(1, limit + 1))
      for _, field in ipairs(fields) do
        -- Behind the names of all ready lists.
        lists[#lists + 1] = {name = '4' .. field, key = line_key(q, field), where = line_where(field)}
      end
      has_more = take_lists(lists) or is_cut
      -- Each of these may have been emptied.
      lists, from = {}, fields[#fields] and fields[#fields] .. '\0'
    until ids[1] or not is_cut or limit < 1
    return has_more
  elseif place == 'parked' then
    local lists, labels = {}, redis.call('HKEYS', q.parked)
    table.sort(labels, is_before)
    for n, label in ipairs(labels) do
      lists[n] = {name = label, key = parked_jobs_key(q, label), where = label}
    end
    return take_lists(lists)
  elseif place == 'scheduled' then
    return take_set(q.scheduled, 2, false)
  elseif place == 'running' then
    return take_runs()
  end
  return take_set(tenant == '' and q.dead or tenant_dead_key(q, tenant), 0, true)
end

-- Whether an entry of a list still counts: its job is in that list, and the entry is none of those that are gone.
local function counts_in(list, position, id, record)
  if not is_readable(record) then
    return true
  elseif is_ended(record) or list_of(record) ~= list.where then
    return false
  end
  local gone = whole_in(redis.call('HGET', q.gone, gone_field(list.where, id)))
  local count = gone < 0 and 1 - gone or gone
  for n, at in ipairs(count > 0 and redis.call('LPOS', list.key, id, 'COUNT', count, 'MAXLEN', position + 1) or {}) do
    if at == position then
      return not is_gone(gone, n)
    end
  end
  return true
end
