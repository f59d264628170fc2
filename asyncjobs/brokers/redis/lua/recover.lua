-- recover: jobs whose lease has expired go back to the front of their list, or to the dead letter queue once
-- `max deaths` workers have died under them, at once where they were acknowledged early; one whose cancellation was
-- under way is cancelled.
-- Safe to be run by everybody at once, so it needs no lock.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 the caller's lease in ms   3 max deaths   4 how many at most   5 ms that a cancelled job's record is kept
-- reply  {recovered ids, dead ids, cancelled ids}
-- After a gap longer than a lease (no worker, or no Redis, was there) all leases have lapsed at once; then it waits a
-- heartbeat, a quarter of the lease, in which the living extend theirs.
-- cost   O(log n) a job
--- @include queue
--- @include clock
--- @include ready
--- @include leases
--- @include ending
--- @include forget
--- @include waiters
local q = open_queue(1, ARGV[1])
local lease_ms, max_deaths, keep_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'recovered_at', 'recover_from')
local now = now_ms(cfg[1])
local last, from = tonumber(cfg[2]), tonumber(cfg[3]) or 0
local expired, ids, keys = {}, {}, {}
if last and now - last <= lease_ms and now >= from then
  expired = redis.call('ZRANGEBYSCORE', q.leased, '-inf', now - 1, 'LIMIT', 0, tonumber(ARGV[4]))
end
for i, member in ipairs(expired) do
  ids[i] = string.match(member, '^%d+:%d:(.*)$')
  keys[i] = job_key(q, ids[i])
end
local records, tries, reasons = {}, {}, {}
if #expired > 0 then
  records = redis.call('MGET', unpack(keys))
  tries = redis.call('HMGET', q.tries, unpack(ids))
  reasons = redis.call('HMGET', q.cancels, unpack(expired))
end
local awaited = awaited_ids(q, ids)
local is_awaited = {}
for _, id in ipairs(awaited) do
  is_awaited[id] = true
end

begin_writes(q)
redis.call('HSET', q.cfg, 'recovered_at', now)
if not last or now - last > lease_ms then
  redis.call('HSET', q.cfg, 'recover_from', now + math.floor(lease_ms / 4))
end
if #expired == 0 then
  return {{}, {}, {}}
end
end_leases(q, expired)
local recovered, dead, cancelled, told, waiting = {}, {}, {}, {}, {}
local figures = new_figures()
for i, id in ipairs(ids) do
  local record = records[i]
  local failures, deaths, errors = read_tries(tries[i])
  local job = {id = id, record = record, failures = failures, deaths = deaths, errors = errors}
  if record and reasons[i] and is_readable(record) then
    end_cancelled(q, figures, job, failures + deaths + 1, now, reasons[i], keep_ms)
    cancelled[#cancelled + 1] = id
  elseif record then
    job.deaths = deaths + 1
    local is_early = is_readable(record) and acks_early(record)
    if is_early or job.deaths >= max_deaths then
      local message = job.deaths .. ' workers died, or lost their lease, while they ran this job'
      if is_early then
        message = 'its worker died, or lost its lease; acknowledged early, it is not run again'
      end
      end_dead(q, figures, job, failures + job.deaths, now, 'WorkerDied', message)
      dead[#dead + 1] = id
    else
      redis.call('HSET', q.tries, id, write_tries(failures, job.deaths, errors))
      line_up(waiting, tonumber(string.match(expired[i], ':(%d):')), id)
      recovered[#recovered + 1] = id
    end
  end
  if is_awaited[id] and recovered[#recovered] ~= id then
    told[#told + 1] = id
  end
end
make_ready_again(q, waiting)
forget_live(q, cancelled)
if #recovered > 0 then
  add(figures.counts, 'recovered', #recovered)
end
write_figures(q, figures, now)
tell_waiters(q, told)
return {recovered, dead, cancelled}
