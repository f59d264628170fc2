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
--- @include bell
--- @include timer
--- @include ending
--- @include dead
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
local has_numbers = #ended > 0 and redis.call('EXISTS', q.numbers) == 1

begin_writes(q)
redis.call('ZREM', q.leased, unpack(held))
redis.call('HDEL', q.cancels, unpack(held))
local counts, tallies, buckets, histories, over, first_due, rings = {}, {}, {}, {}, {}, nil, false
for n = #leases, 1, -1 do
  if reply[n] == '1' then
    local at = (n - 1) * EACH + 1
    local id, name, verdict, value, ms = ARGV[at + 1], ARGV[at + 2], ARGV[at + 4], ARGV[at + 5], tonumber(ARGV[at + 6])
    local priority, tenant = string.match(members[n], ':(%d):'), ARGV[at + 10]
    local tally = tenant ~= '' and tally_of(tallies, tenant)
    if verdict == 'c' then
      redis.call('SET', job_key(q, id), value, 'PX', ms)
      over[#over + 1] = id
      add(counts, tally, 'succeeded', 1)
      add(counts, tally, 'duration_us', tonumber(ARGV[at + 7]))
      local bucket = ARGV[at + 8]
      buckets[bucket] = buckets[bucket] or 'h:' .. bucket
      add(counts, tally, buckets[bucket], 1)
    elseif verdict == 'r' or verdict == 's' then
      local due = now + ms
      redis.call('ZADD', q.scheduled, due, priority .. ':' .. id)
      first_due = math.min(first_due or due, due)
      if verdict == 'r' then
        redis.call('HSET', q.tries, id, value)
        add(counts, tally, 'retried', 1)
      end
    elseif verdict == 'd' then
      bury(q, now, id, tenant)
      redis.call('HSET', q.tries, id, value)
      add(counts, tally, 'failed', 1)
    elseif verdict == 'x' then
      redis.call('SET', job_key(q, id), value, 'PX', ms)
      over[#over + 1] = id
      add(counts, tally, 'cancelled', 1)
    else
      redis.call('LPUSH', q.ready[tonumber(priority) + 1], id)
      rings = true
    end
    if ARGV[at + 9] ~= '' then
      histories[name] = histories[name] or {}
      table.insert(histories[name], 1, ARGV[at + 9])
      if tally then
        local label = ' ' .. tenant
        histories[label] = histories[label] or {}
        table.insert(histories[label], 1, ARGV[at + 9])
      end
    end
  end
end
if #over > 0 then
  redis.call('HDEL', q.tries, unpack(over))
  if has_numbers then
    redis.call('HDEL', q.numbers, unpack(over))
  end
end
if next(counts) then
  count(q, now, counts)
  count_tenants(q, tallies)
end
add_histories(q, histories)
if rings then
  ring(q)
end
reset_timer(q, earliest, first_due)
tell_waiters(q, awaited)
return table.concat(reply)
