-- recover: jobs whose lease has expired go back to the front of their list, or to the dead letter queue once
-- `max_deaths` workers have died under them, at once where they were acknowledged early; one whose cancellation was
-- under way is cancelled. All workers run it, at any time, so it needs no lock.
-- After a gap of more than half a lease (no worker, or no Redis, was there) leases of the living may have lapsed too.
-- They are extended within half a lease; until then, only those are recovered that had lapsed before the gap.
-- Where nothing is leased, it writes nothing.
--- @args lease_ms: ms, max_deaths: int, limit: int
-- lease_ms  the caller's    limit  how many jobs at most
-- Jobs go to the front, so those that lapsed last go first: those of the next call stand before them then.
--- @reply recovered, dead, cancelled
-- cost   O(log n) a job
--- @include clock
--- @include ready
--- @include checks
--- @include leases
--- @include records
--- @include ending
--- @include forget
--- @include waiters
--- @include unique
--- @include limit
--- @include flow
-- All leases of a worker may lapse at one moment, and the set orders these by the text of their fence.
local LOOKED_AT = 5 * limit

-- Up to `limit` leases that lapsed last before `time`, in the order in which they lapsed, and of one moment in that of
-- their fences.
local function latest_expired(q, time)
  local leases = {}
  local found = redis.call('ZREVRANGEBYSCORE', q.leased, '(' .. time, '-inf', 'WITHSCORES', 'LIMIT', 0, LOOKED_AT)
  for n = 1, #found, 2 do
    local fence, _, id = read_member(found[n])
    leases[#leases + 1] = {
      member = found[n], deadline = tonumber(found[n + 1]), fence = whole_in(fence), id = id,
    }
  end
  table.sort(leases, function(one, other)
    if one.deadline ~= other.deadline then
      return one.deadline < other.deadline
    elseif one.fence ~= other.fence then
      return one.fence < other.fence
    end
    return (one.id or '') < (other.id or '')
  end)
  local latest = {}
  for n = math.max(1, #leases - limit + 1), #leases do
    latest[#latest + 1] = leases[n]
  end
  return latest
end

-- Reads the leases that lapsed before `time`: members, and by their order the ids, records, tries, runs and reasons of
-- a cancellation.
local function expired_jobs(q, time)
  local leases = latest_expired(q, time)
  if #leases == 0 then
    return nil
  end
  -- What can't be read is no lease, and is only taken away.
  local members, ids, held = {}, {}, {}
  for n, lease in ipairs(leases) do
    members[n] = lease.member
    if lease.id then
      ids[#ids + 1] = lease.id
      held[#held + 1] = lease.member
    end
  end
  check_places(q)
  local records, reasons = heads_of(q, ids), values_of(q.cancels, held)
  local ends, ended = {}, {}
  for n, reason in ipairs(reasons) do
    -- The record of one that is cancelled is written anew.
    if reason then
      records[n] = redis.call('GET', job_key(q, ids[n]))
      ends[#ends + 1], ended[#ended + 1] = ids[n], records[n]
    end
  end
  return {
    expired = members, members = held, ids = ids, records = records, tries = values_of(q.tries, ids),
    runs = values_of(q.fences, ids), reasons = reasons, awaited = awaited_ids(q, ids), keys = keys_left(q, ends, ended),
    lined = {},
  }
end

-- Why a job whose worker has died must not run again, and why those like it; or nil.
local function verdict_on(job)
  if is_readable(job.record) and acks_early(job.record) then
    return DIED_EARLY, DIED_EARLY
  elseif job.deaths >= max_deaths then
    return string.format(WORKERS_DIED, job.deaths), WORKERS_DIED_GROUP
  end
end

-- What the ends of these leases change in the lines of the queue, and whether a worker is to be woken. Jobs that are to
-- run again go back to the front of their lines: their ids are `lined`.
local function read_ends(q, expired, now)
  local flow, seconds = read_flow(q, now), {}
  for n, run in ipairs(expired.runs) do
    seconds[n] = math.max(0, now - (claimed_at(run or '') or now)) / 1000
  end
  for n = 1, #expired.ids do
    seconds[n] = seconds[n] or 0
  end
  end_slots(q, flow, expired.members, seconds)
  for n, id in ipairs(expired.ids) do
    local record, reason = expired.records[n], expired.reasons[n]
    local _, deaths = read_tries(expired.tries[n])
    local is_cancelled = record and reason and is_readable(record)
    local is_live = record and not is_cancelled and not verdict_on({record = record, deaths = deaths + 1})
    local key = is_live and line_of(record) or ''
    if key ~= '' then
      enter_line(flow, priority_in(expired.members[n]), key, id, true)
      expired.lined[id] = true
    end
  end
  return flow, plan_entered(q, flow)
end

local function recover(q, expired, now)
  local recovered, dead, cancelled, lives, waiting, figures = {}, {}, {}, {}, {}, new_figures()
  end_leases(q, expired.expired, expired.ids)
  for i, id in ipairs(expired.ids) do
    local job, reason = {id = id, record = expired.records[i]}, expired.reasons[i]
    job.failures, job.deaths, job.errors = read_tries(expired.tries[i])
    if job.record and reason and is_readable(job.record) then
      end_cancelled(q, figures, job, job.failures + job.deaths + 1, now, reason, CANCELLED_KEEP_MS)
      cancelled[#cancelled + 1] = id
    elseif job.record then
      job.deaths = job.deaths + 1
      local why, group = verdict_on(job)
      if why then
        job.started_at = claimed_at(expired.runs[i])
        job.worker = job.started_at and worker_in(expired.runs[i])
        end_dead(q, figures, job, job.failures + job.deaths, now, 'WorkerDied', why, group)
        dead[#dead + 1] = id
      else
        redis.call('HSET', q.tries, id, write_tries(job.failures, job.deaths, job.errors))
        if not expired.lined[id] then
          line_up(waiting, priority_in(expired.members[i]), id)
        end
        recovered[#recovered + 1] = id
        lives[id] = true
      end
    end
  end
  forget_live(q, cancelled)
  remove_fields(q.unique, expired.keys)
  write_groups(q, now)
  make_ready_again(q, waiting)
  if #recovered > 0 then
    add(figures.counts, 'recovered', #recovered)
  end
  write_figures(q, figures, now)
  for _, id in ipairs(expired.awaited) do
    if not lives[id] then
      tell_waiter(q, id)
    end
  end
  return {recovered, dead, cancelled}
end

-- The server's clock has been set back, so leases of before would last too long. None is cut to less than the caller's
-- lease from now on, since it may have been taken after that.
local function set_back(q, now, by)
  local found, dues = redis.call('ZRANGEBYSCORE', q.leased, '(' .. now + lease_ms, '+inf', 'WITHSCORES'), {}
  for n = 1, #found, 2 do
    dues[n], dues[n + 1] = math.max(now + lease_ms, found[n + 1] - by), found[n]
  end
  for first = 1, #dues, PART do
    redis.call('ZADD', q.leased, 'XX', unpack(dues, first, math.min(first + PART - 1, #dues)))
  end
end

local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'recovered_at', 'recover_from', 'gap_began', 'limit', 'flow')
local now, last, from, gap_began = shifted_now(cfg[1]), whole_in(cfg[2]), whole_in(cfg[3]), whole_in(cfg[4])
if redis.call('ZCARD', q.leased) == 0 then
  return {{}, {}, {}}
end
local is_set_back, is_gap = now < last, now - last > lease_ms / 2
if is_set_back or is_gap then
  from, gap_began = now + math.floor(lease_ms / 2), is_gap and last or 0
end
local expired = expired_jobs(q, now < from and gap_began or now)
local was_full = expired and cfg[5] and is_full(q, cfg[5])
local flow, is_any_on
if expired and cfg[6] then
  flow, is_any_on = read_ends(q, expired, now)
end

begin_writes(q)
redis.call('HSET', q.cfg, 'recovered_at', now)
if is_set_back or is_gap then
  redis.call('HSET', q.cfg, 'recover_from', from, 'gap_began', gap_began)
end
if is_set_back then
  set_back(q, now, last - now)
end
local reply = expired and recover(q, expired, now) or {{}, {}, {}}
if flow then
  write_flow(q, flow)
end
if was_full or is_any_on then
  ring(q)
end
return reply
