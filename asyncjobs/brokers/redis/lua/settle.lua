-- settle: end, retry, bury or release leased jobs. A job whose lease was taken over is refused: its fence is gone.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base, then for each job ten: id, name, member (fence:priority:id), verdict, value, ms, duration in µs,
--        histogram bucket, history entry, tenant or ''
--        verdict 'c' complete and 'x' cancel: value is the final record, kept for ms
--        'r' retry: value is the tries, due in ms; 's' snooze: due in ms, nothing counted
--        'd' dead: value is the tries; 'l' release: back to the front
-- reply  a string of '1' (done) and '0' (refused), one a job
-- cost   O(log n) a job
--- @include queue
--- @include clock
--- @include ready
--- @include due
--- @include leases
--- @include figures
--- @include dead
--- @include forget
--- @include waiters
local q = open_queue(1, ARGV[1])
local EACH = 10
local members = {}
for i = 4, #ARGV, EACH do
  members[#members + 1] = ARGV[i]
end
local leases = redis.call('ZMSCORE', q.leased, unpack(members))
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
local earliest = earliest_due(q)

local reply, held, ended, settled = {}, {}, {}, {}
for n, lease in ipairs(leases) do
  local at = (n - 1) * EACH + 1
  local verdict = ARGV[at + 4]
  -- A member named twice in one call counts once.
  if lease and not settled[members[n]] then
    settled[members[n]] = true
    reply[n] = '1'
    held[#held + 1] = members[n]
    if verdict ~= 'r' and verdict ~= 's' and verdict ~= 'l' then
      ended[#ended + 1] = ARGV[at + 1]
    end
  else
    reply[n] = '0'
  end
end
if #held == 0 then
  return table.concat(reply)
end
local awaited = awaited_ids(q, ended)

begin_writes(q)
end_leases(q, held)
local figures, buckets, over, dues, waiting = new_figures(), {}, {}, {}, {}
for n = 1, #leases do
  if reply[n] == '1' then
    local at = (n - 1) * EACH + 1
    local id, verdict, value, ms, tenant = ARGV[at + 1], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 10]
    local priority = string.match(members[n], ':(%d):')
    local counts = counts_of(figures, tenant)
    if verdict == 'c' then
      redis.call('SET', job_key(q, id), value, 'PX', ms)
      over[#over + 1] = id
      add(counts, 'succeeded', 1)
      add(counts, 'duration_us', tonumber(ARGV[at + 7]))
      local bucket = ARGV[at + 8]
      buckets[bucket] = buckets[bucket] or 'h:' .. bucket
      add(counts, buckets[bucket], 1)
    elseif verdict == 'r' or verdict == 's' then
      dues[#dues + 1] = now + ms
      dues[#dues + 1] = priority .. ':' .. id
      if verdict == 'r' then
        redis.call('HSET', q.tries, id, value)
        add(counts, 'retried', 1)
      end
    elseif verdict == 'd' then
      bury(q, now, id, tenant)
      redis.call('HSET', q.tries, id, value)
      add(counts, 'failed', 1)
    elseif verdict == 'x' then
      redis.call('SET', job_key(q, id), value, 'PX', ms)
      over[#over + 1] = id
      add(counts, 'cancelled', 1)
    else
      line_up(waiting, tonumber(priority), id)
    end
    if ARGV[at + 9] ~= '' then
      enter(figures, ARGV[at + 2], tenant, ARGV[at + 9])
    end
  end
end
forget_live(q, over)
write_figures(q, figures, now)
make_ready_again(q, waiting)
make_due(q, dues, earliest)
tell_waiters(q, awaited)
return table.concat(reply)
