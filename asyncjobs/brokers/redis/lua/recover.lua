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
--- @include bell
--- @include header
--- @include tries
--- @include ending
--- @include dead
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
redis.call('ZREM', q.leased, unpack(expired))
redis.call('HDEL', q.cancels, unpack(expired))
local recovered, dead, cancelled, told = {}, {}, {}, {}
local counts, tallies, histories = {}, {}, {}
for i = #ids, 1, -1 do
  local id, record = ids[i], records[i]
  local failures, deaths, errors = read_tries(tries[i])
  local tenant = record and tenant_in(record) or ''
  if record and reasons[i] and is_readable(record) then
    redis.call('SET', keys[i], cancelled_record(record, reasons[i], now), 'PX', keep_ms)
    redis.call('HDEL', q.tries, id)
    redis.call('HDEL', q.numbers, id)
    enter(histories, name_of(record), tenant, {id, 'cancelled', failures + deaths + 1, now, 0, reasons[i]})
    add(counts, tally_of(tallies, tenant), 'cancelled', 1)
    cancelled[#cancelled + 1] = id
  elseif record then
    deaths = deaths + 1
    local is_early = is_readable(record) and acks_early(record)
    if is_early or deaths >= max_deaths then
      local message = deaths .. ' workers died, or lost their lease, while they ran this job'
      if is_early then
        message = 'its worker died, or lost its lease; acknowledged early, it is not run again'
      end
      errors = add_error(errors, 'WorkerDied', message, failures + deaths, now)
      bury(q, now, id, tenant)
      local name = is_readable(record) and name_of(record) or ''
      enter(histories, name, tenant, {id, 'failed', failures + deaths, now, 0, 'WorkerDied: ' .. message})
      add(counts, tally_of(tallies, tenant), 'failed', 1)
      dead[#dead + 1] = id
    else
      redis.call('LPUSH', q.ready[tonumber(string.match(expired[i], ':(%d):')) + 1], id)
      recovered[#recovered + 1] = id
    end
    redis.call('HSET', q.tries, id, write_tries(failures, deaths, errors))
  end
  if is_awaited[id] and recovered[#recovered] ~= id then
    told[#told + 1] = id
  end
end
if #recovered > 0 then
  ring(q)
end
if #recovered > 0 then counts.recovered = #recovered end
count(q, now, counts)
count_tenants(q, tallies)
add_histories(q, histories)
tell_waiters(q, told)
return {recovered, dead, cancelled}
