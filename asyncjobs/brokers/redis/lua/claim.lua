-- claim: promote what is due, take startable jobs from several queues in the order given, and lease them.
-- The same worker and number get the same jobs again, less those no longer leased: a lost reply loses nothing.
-- A claim that the network has held up until its worker has gone on is refused, since nobody waits for its jobs: its
-- number is below the last one that is kept, or it was sent before any that would still be kept.
--- @args worker, number: int, keep_number: flag, sent_at: int
--- @args limit: int, lease_ms: ms, lowest_first: flag, timer_ms: ms, any_name: flag
--- @list known
-- number        of this claim, rising          limit     how many jobs at most
-- keep_number   whether to keep the number even without jobs, since an earlier claim may still arrive
-- sent_at       when it was sent, in ms of the server's clock; 0 if the worker doesn't know
-- lowest_first  serve the lowest priority first
-- timer_ms      for how many ms the worker would keep a queue's timer, 0 for not at all
-- any_name      whether the worker takes jobs of any name
-- known         the job names that it takes otherwise; with none of them, it takes no job
--- @reply now_ms, due_ms, again, fence, jobs
-- due_ms  when the earliest scheduled job is due, -1 if there is none or another worker keeps the timer
-- again   1 if there may be more that this claim did not look at, or if it was refused
-- jobs    {id, tries, record, …}
-- reply   a list of those, one a queue
-- cost    O(log n) a job
--- @include clock
--- @include unparking
local MAX_PROMOTED = 1000

local is_known = not any_name and {} or nil
for _, name in ipairs(known) do
  is_known[name] = true
end

-- Whether a job must be parked: as what, and its label.
local function parking(record, held)
  if not (is_known or held) or not is_readable(record) then
    return nil
  end
  local name = name_of(record)
  if (is_known and not is_known[name]) or (held and held[BY_NAME .. name]) then
    return PARKED_BY_NAME, BY_NAME .. name
  elseif held and held[BY_TENANT .. tenant_of(record)] then
    return PARKED_BY_TENANT, BY_TENANT .. tenant_of(record)
  end
end

-- What the claim of this number was given before, less what is no longer leased.
local function replayed(q, now, claim)
  local fence, rest = string.match(claim, '^%d+ (%d+) (.*)$')
  if rest == '' then
    return {now, -1, 1, 0, {}}, 0
  end
  local members, ids = {}, {}
  for member, id in string.gmatch(rest, '(%d+:%d:(%S+))') do
    members[#members + 1] = member
    ids[#ids + 1] = id
  end
  local jobs = {}
  for i, score in ipairs(redis.call('ZMSCORE', q.leased, unpack(members))) do
    if score then
      jobs[#jobs + 1] = ids[i]
      jobs[#jobs + 1] = redis.call('HGET', q.tries, ids[i]) or ''
      jobs[#jobs + 1] = redis.call('GET', job_key(q, ids[i])) or ''
    end
  end
  return {now, -1, 1, tonumber(fence), jobs}, #jobs / 3
end

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

-- How many entries of each candidate in the ready lists are to be passed over, the first ones; the first `own`
-- candidates are from no ready list.
local function read_skips(q, ids, priorities, own)
  if redis.call('EXISTS', q.gone) == 0 then
    return {}
  end
  local fields = {}
  for n, id in ipairs(ids) do
    fields[n] = gone_field(priorities[n], id)
  end
  local skips = values_of(q.gone, fields)
  for n = 1, own do
    skips[n] = false
  end
  return skips
end

-- Reads parked jobs that may run now, up to as many as `want` has room for behind the ready ones before them. They are
-- leased from where they are: made ready, they could be set aside again by a worker that doesn't know their names.
--   ids, priorities  one a job    lists  what is to be taken out of the parked lists
--   others           whether jobs are left that nothing holds, for a worker that knows them
local function read_parked(q, want, held)
  local own = {ids = {}, priorities = {}, lists = {}}
  if want == 0 or redis.call('EXISTS', q.parked) == 0 then
    return own
  end
  local before, count_before, labels = {}, 0, redis.call('HKEYS', q.parked)
  for step = 0, 3 do
    local priority = lowest_first and 3 - step or step
    before[priority] = count_before
    count_before = count_before + redis.call('LLEN', q.ready[priority])
  end
  table.sort(labels)
  for _, label in ipairs(labels) do
    local is_own = is_startable(label, held, is_known)
    own.others = own.others or not (is_own or held and held[label])
    local list = #own.ids < want and is_own and read_list(q, label, want - #own.ids)
    local count = list and for_each(list, function(id, record)
      local priority = priority_of(record)
      if before[priority] + #own.ids >= want or parking(record, held) then
        return true
      end
      own.ids[#own.ids + 1] = id
      own.priorities[#own.ids] = priority
    end) or 0
    if count > 0 then
      cut(list, count)
      own.lists[#own.lists + 1] = list
    end
  end
  return own
end

-- Reads up to `want` candidates: first `own`, then by priority what is ready, and behind it what is due.
--   ids, priorities, records, tries, skips   one a candidate
--   taken      priority -> how many of the candidates were ready
--   due        priority -> what is due and is no candidate
--   promoted   members of the scheduled set that are candidates, or in `due`
--   more       whether startable jobs are left that are no candidates
local function candidates(q, own, want, now, is_paused)
  local due, promoted = read_due(q, now)
  local ids, priorities, taken, more = own.ids, own.priorities, {}, false
  local own_count = #ids
  for step = 0, 3 do
    local priority = lowest_first and 3 - step or step
    local first, room = #ids, is_paused and 0 or want - #ids
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
    end
    due[priority] = rest[1] and rest or nil
    for n = first + 1, #ids do
      priorities[n] = priority
    end
    more = more or rest[1] ~= nil
  end
  return {
    ids = ids, priorities = priorities, taken = taken, due = due, promoted = promoted, more = more,
    records = records_of(q, ids), tries = values_of(q.tries, ids), skips = read_skips(q, ids, priorities, own_count),
    lists = own.lists, others = own.others,
  }
end

-- Sorts the candidates into those to lease, to park and to pass over.
--   jobs      the part of the reply: id, tries, record of each leased one
--   leases    deadline, member, …    members   the same without the deadlines    fences  id, fence, …
--   parked    label -> its ids, and as `kind` why
--   passed    {priority, id}, …
local function sort(found, fence, deadline, held)
  local jobs, leases, members, fences, parked, passed, skipped = {}, {}, {}, {}, {}, {}, {}
  local priorities, records, tries, skips = found.priorities, found.records, found.tries, found.skips
  for n, id in ipairs(found.ids) do
    local record = records[n]
    local field = priorities[n] .. ':' .. id
    local skip = skips[n]
    if skip and whole_in(skip) > (skipped[field] or 0) then
      skipped[field] = (skipped[field] or 0) + 1
      passed[#passed + 1] = {priorities[n], id}
    elseif record then
      local kind, label = parking(record, held)
      if kind then
        parked[label] = parked[label] or {kind = kind}
        table.insert(parked[label], id)
      else
        -- The priority is the record's, from which the worker reads it: in a damaged one it may be another.
        local member = fence .. ':' .. priority_of(record) .. ':' .. id
        jobs[#jobs + 1] = id
        jobs[#jobs + 1] = tries[n] or ''
        jobs[#jobs + 1] = record
        leases[#leases + 1] = deadline
        leases[#leases + 1] = member
        members[#members + 1] = member
        fences[#fences + 1] = id
        fences[#fences + 1] = fence
      end
    end
  end
  return {jobs = jobs, leases = leases, members = members, fences = fences, parked = parked, passed = passed}
end

-- Whether jobs were set aside that another worker may know: nothing holds them.
local function has_unknown(parked, held)
  for label in pairs(parked) do
    if not (held and held[label]) then
      return true
    end
  end
  return false
end

-- To be called before the script writes.
local function check(q, found, sorted)
  if sorted.fences[1] then
    redis.call('HLEN', q.fences)
  end
  if next(sorted.parked) or found.lists[1] then
    redis.call('HLEN', q.parked)
    check_gone(q)
    for label in pairs(sorted.parked) do
      redis.call('LLEN', parked_jobs_key(q, label))
    end
  end
end

-- Takes the candidates from where they were, and puts each where it is to be. The leases come first: where they are
-- refused, nothing has been taken.
local function write(q, found, sorted, fence, now)
  if #sorted.members > 0 then
    redis.call('ZADD', q.leased, unpack(sorted.leases))
    redis.call('HSET', q.fences, unpack(sorted.fences))
    redis.call('HSET', q.cfg, 'fence', fence)
  end
  if #sorted.members > 0 or keep_number then
    redis.call('SET', claim_key(q, worker), number .. ' ' .. fence .. ' ' .. table.concat(sorted.members, ' '), 'PX',
      math.max(CLAIM_KEEP_MS, 2 * lease_ms))
  end
  for _, list in ipairs(found.lists) do
    take_out(q, list)
  end
  for priority, count in pairs(found.taken) do
    redis.call('LTRIM', q.ready[priority], count, -1)
  end
  if #found.promoted > 0 then
    redis.call('ZREM', q.scheduled, unpack(found.promoted))
    push_behind(q, found.due)
  end
  for _, entry in ipairs(sorted.passed) do
    forget_gone(q, entry[1], entry[2])
  end
  for label, ids in pairs(sorted.parked) do
    redis.call('RPUSH', parked_jobs_key(q, label), unpack(ids))
    redis.call('HSETNX', q.parked, label, now)
    for _, id in ipairs(ids) do
      set_kind(job_key(q, id), ids.kind)
    end
  end
end

-- The next due time, if the worker keeps the queue's timer from now on, or -1. A keeper that would keep it for longer
-- than this worker is not relied on, since the clock may have been set back.
local function read_timer(q, now, keeper, keeper_until)
  local left = whole_in(keeper_until) - now
  if timer_ms == 0 or (keeper and keeper ~= worker and left >= 0 and left <= timer_ms) then
    return -1
  end
  local after = redis.call('ZRANGEBYSCORE', q.scheduled, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return tonumber(after[2]) or -1
end

-- Returns the part of the reply, and how many jobs are in it.
local function claim(q, want)
  local last = redis.call('GET', claim_key(q, worker))
  local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held', 'fence', 'keeper', 'keeper_until')
  local now, held = shifted_now(cfg[1]), read_held(cfg[2])
  -- Of the clock, so that none is given again by a server that has lost its last writes.
  local fence = math.max(whole_in(cfg[3]) + 1, 10 * now)
  local is_paused = held and held[HELD_QUEUE]
  local last_number = last and tonumber(string.match(last, '^%d+')) or 0
  if last_number == number then
    return replayed(q, now, last)
  elseif last_number > number or (sent_at > 0 and now - sent_at > CLAIM_KEEP_MS) then
    return {now, -1, 1, 0, {}}, 0
  end
  local found = candidates(q, read_parked(q, is_paused and 0 or want, held), want, now, is_paused)
  local next_due = read_timer(q, now, cfg[4], cfg[5])
  if #found.ids == 0 and not found.lists[1] and #found.promoted == 0 and next_due < 0 and not keep_number then
    if found.others and pass_on(q) then
      return {now, -1, 0, 0, {}}, 0
    elseif not found.more and redis.call('EXISTS', q.bell) == 1 then
      redis.call('DEL', q.bell)
    end
    return {now, -1, 0, 0, {}}, 0
  end
  local sorted = sort(found, fence, now + lease_ms, held)

  check(q, found, sorted)
  begin_writes(q)
  write(q, found, sorted, fence, now)
  if next_due >= 0 then
    redis.call('HSET', q.cfg, 'keeper', worker, 'keeper_until', now + timer_ms)
  end
  -- Some candidates were none: this worker claims again at once, so no other need be woken for the rest.
  local again = found.more and #sorted.members < #found.ids
  local is_for_others = has_unknown(sorted.parked, held)
  if is_paused or not (found.more or is_for_others) then
    redis.call('DEL', q.bell)
  elseif not again or is_for_others then
    ring(q)
  end
  if is_for_others then
    let_pass_on(q)
  end
  return {now, next_due, again and 1 or 0, fence, sorted.jobs}, #sorted.members
end

local want, reply = limit, {}
for block = 1, QUEUES do
  local part, count = claim(queue(block), want)
  reply[block] = part
  want = want - count
end
return reply
