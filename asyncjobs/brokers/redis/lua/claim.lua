-- claim: promote what is due, take startable jobs from several queues in the order given, and lease them.
-- KEYS   the fixed keys of each queue
-- ARGV   1 worker   2 number of this claim, rising   3 how many at most   4 lease in ms
--        5 '1' to serve the lowest priority first   6 for how many ms the worker would keep a queue's timer, 0: not
--        7 number of queues, then the base of each; then the job names it knows, none for any
-- reply  for each queue: {now, due, again, fence, {id, tries, record, …}}
--        due: when the earliest scheduled job is due, -1 if there is none or another worker keeps the timer
--        again: 1 if there may be more that this claim did not look at
-- The same worker and number get the same jobs again, less those no longer leased: a lost reply loses nothing.
-- cost   O(log n) a job
--- @include queue
--- @include clock
--- @include bell
--- @include header
--- @include suspended
local PROMOTE = 1000

local worker, number, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[4])
local lowest_first, keep_ms = ARGV[5] == '1', tonumber(ARGV[6])
local queues = tonumber(ARGV[7])
local known = nil
for i = 8 + queues, #ARGV do
  known = known or {}
  known[ARGV[i]] = true
end

-- Whether a job must wait: 'p' and its name if no worker may run that, 't' and its tenant's label.
local function parking(record, suspended)
  if not (known or suspended) or not record or not is_readable(record) then
    return nil
  end
  local name = name_of(record)
  if (known and not known[name]) or (suspended and suspended['n' .. name]) then
    return 'p', name
  elseif suspended and suspended['t' .. tenant_of(record)] then
    return 't', ' ' .. tenant_of(record)
  end
end

local function replayed(q, now, claim)
  local fence, rest = string.match(claim, '^%d+ (%d+) (.*)$')
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
  return {now, -1, 1, tonumber(fence), jobs}
end

-- What is due, by priority, and the members to remove for it.
local function due_jobs(q, now)
  local due, members = {{}, {}, {}, {}}, {}
  if redis.call('EXISTS', q.scheduled) == 1 then
    members = redis.call('ZRANGEBYSCORE', q.scheduled, '-inf', now, 'LIMIT', 0, PROMOTE)
    for _, member in ipairs(members) do
      table.insert(due[tonumber(string.sub(member, 1, 1)) + 1], string.sub(member, 3))
    end
  end
  return due, members
end

local function claim(q, want)
  local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'paused', 'fence', 'keeper', 'keeper_until', 'suspended')
  local now = now_ms(cfg[1])
  local claim_key = q.base .. 'claim:' .. worker
  local last = redis.call('GET', claim_key)
  if last and string.match(last, '^%d+') == number then
    return replayed(q, now, last)
  end

  -- Read: candidates in the order of priorities, behind them what is due in the same priority.
  local due, due_members = due_jobs(q, now)
  local paused = cfg[2] == '1'
  local lengths, taken, ids, priorities, more = {}, {0, 0, 0, 0}, {}, {}, false
  for step = 1, 4 do
    local p = lowest_first and 5 - step or step
    lengths[p] = redis.call('LLEN', q.ready[p])
    local room = want - #ids
    if not paused and room > 0 then
      if lengths[p] > 0 then
        for _, id in ipairs(redis.call('LRANGE', q.ready[p], 0, room - 1)) do
          ids[#ids + 1] = id
          priorities[#priorities + 1] = p
          taken[p] = taken[p] + 1
        end
      end
      local rest = {}
      for _, id in ipairs(due[p]) do
        if #ids < want then
          ids[#ids + 1] = id
          priorities[#priorities + 1] = p
        else
          rest[#rest + 1] = id
        end
      end
      due[p] = rest
    end
    more = more or lengths[p] > taken[p] or #due[p] > 0
  end

  local records, tries, skips = {}, {}, {}
  if #ids > 0 then
    local job_keys = {}
    for i, id in ipairs(ids) do
      job_keys[i] = job_key(q, id)
    end
    records = redis.call('MGET', unpack(job_keys))
    tries = redis.call('HMGET', q.tries, unpack(ids))
    if redis.call('EXISTS', q.gone) == 1 then
      local fields = {}
      for i, id in ipairs(ids) do
        fields[i] = gone_field(priorities[i] - 1, id)
      end
      skips = redis.call('HMGET', q.gone, unpack(fields))
    end
  end

  local keeps = keep_ms > 0 and (not cfg[4] or cfg[4] == worker or tonumber(cfg[5]) < now)
  local next_due = -1
  if keeps then
    local after = redis.call('ZRANGEBYSCORE', q.scheduled, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    next_due = tonumber(after[2]) or -1
  end

  -- Sort the candidates into those to lease, to park and to forget.
  local fence = (tonumber(cfg[3]) or 0) + 1
  local suspended = cfg[6] and read_suspended(cfg[6])
  local jobs, leases, members, parked, forgotten, skipped = {}, {}, {}, {}, {}, {}
  for i, id in ipairs(ids) do
    local record = records[i]
    local field = (priorities[i] - 1) .. ':' .. id
    local skip = tonumber(skips[i]) or 0
    if skip > (skipped[field] or 0) then
      skipped[field] = (skipped[field] or 0) + 1
      forgotten[#forgotten + 1] = {priorities[i] - 1, id}
    else
      local kind, label = parking(record, suspended)
      if kind then
        parked[label] = parked[label] or {kind = kind}
        table.insert(parked[label], id)
      elseif record then
        local member = fence .. ':' .. field
        jobs[#jobs + 1] = id
        jobs[#jobs + 1] = tries[i] or ''
        jobs[#jobs + 1] = record
        leases[#leases + 1] = now + lease_ms
        leases[#leases + 1] = member
        members[#members + 1] = member
      end
    end
  end

  -- Write.
  if #ids == 0 and #due_members == 0 and next_due < 0 then
    if not more and redis.call('EXISTS', q.bell) == 1 then
      redis.call('DEL', q.bell)
    end
    return {now, -1, 0, 0, jobs}
  end
  begin_writes(q)
  for p = 1, 4 do
    if taken[p] > 0 then
      redis.call('LTRIM', q.ready[p], taken[p], -1)
    end
  end
  if #due_members > 0 then
    redis.call('ZREM', q.scheduled, unpack(due_members))
    for p = 1, 4 do
      if #due[p] > 0 then
        redis.call('RPUSH', q.ready[p], unpack(due[p]))
      end
    end
  end
  for _, skip in ipairs(forgotten) do
    forget_gone(q, skip[1], skip[2])
  end
  for label, parked_ids in pairs(parked) do
    redis.call('RPUSH', q.base .. 'parked:' .. label, unpack(parked_ids))
    redis.call('HSETNX', q.parked, label, now)
    for _, id in ipairs(parked_ids) do
      mark(job_key(q, id), parked_ids.kind)
    end
  end
  if #members > 0 then
    redis.call('HSET', q.cfg, 'fence', fence)
    redis.call('ZADD', q.leased, unpack(leases))
    redis.call('SET', claim_key, number .. ' ' .. fence .. ' ' .. table.concat(members, ' '), 'PX',
      math.max(60000, 2 * lease_ms))
  end
  if next_due >= 0 then
    redis.call('HSET', q.cfg, 'keeper', worker, 'keeper_until', now + keep_ms)
  end
  local again = #ids > 0 and #members < #ids and more
  if not more or paused then
    redis.call('DEL', q.bell)
  elseif not again then
    ring(q)
  end
  return {now, next_due, again and 1 or 0, fence, jobs}
end

local want, reply = tonumber(ARGV[3]), {}
for i = 1, queues do
  reply[i] = claim(open_queue(i, ARGV[7 + i]), want)
  want = want - #reply[i][5] / 3
end
return reply
