-- cancel: a waiting job ends here and now; a running one is marked, and its worker learns of it by extend.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 id   3 reason   4 ms that the record is kept
-- reply  'unknown', 'ended', 'failed', 'running' (marked) or 'cancelled'
-- cost   O(log n), and one look through the leased jobs
--- @include queue
--- @include clock
--- @include bell
--- @include header
--- @include tries
--- @include ending
--- @include place
local q = open_queue(1, ARGV[1])
local id, reason = ARGV[2], ARGV[3]
local key = job_key(q, id)
local record = redis.call('GET', key)
if not record then
  return 'unknown'
elseif not is_readable(record) then
  return 'failed'
elseif is_ended(record) then
  return 'ended'
end
local place, number = place_of(q, id, record)
local field = priority_of(record) .. ':' .. id
if place == 'failed' then
  return 'failed'
elseif place == 'running' then
  redis.call('HSET', q.cancels, number .. ':' .. field, reason)
  return 'running'
end
local failures, deaths = read_tries(redis.call('HGET', q.tries, id))
local awaited = awaited_ids(q, {id})
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))

begin_writes(q)
if place == 'scheduled' then
  redis.call('ZREM', q.scheduled, field)
else
  add_gone(q, is_parked(record) and label_of(record) or priority_of(record), id)
end
redis.call('SET', key, cancelled_record(record, reason, now), 'PX', ARGV[4])
redis.call('HDEL', q.tries, id)
redis.call('HDEL', q.numbers, id)
count(q, now, {cancelled = 1})
add_history(q, name_of(record), {cmsgpack.pack({id, 'cancelled', failures + deaths + 1, now, 0, reason})})
tell_waiters(q, awaited)
return 'cancelled'
