-- edit: give a waiting job another priority, or another time.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 id   3 priority '0' to '3', or '' to leave it   4 '' to leave its time, '+ms' that long from now,
--        '@ms' at that Unix time; what is past is now
-- reply  'unknown', 'ended', 'failed', 'running' (too late) or 'edited'
-- cost   O(log n), and one look through the leased jobs
--- @include queue
--- @include clock
--- @include header
--- @include ready
--- @include due
--- @include place
local q = open_queue(1, ARGV[1])
local id, wanted, when = ARGV[2], ARGV[3], ARGV[4]
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
if place == 'failed' or place == 'running' then
  return place
end
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
local earliest = earliest_due(q)
local old = priority_of(record)
local new = wanted == '' and old or tonumber(wanted)
local due = place == 'scheduled' and number or now
if when ~= '' then
  due = time_given(when, now)
end

if place == 'scheduled' then
  redis.call('ZREM', q.scheduled, old .. ':' .. id)
elseif due > now then
  add_gone(q, is_parked(record) and label_of(record) or old, id)
  mark(key, '-')
elseif is_parked(record) or new == old then
  redis.call('SETRANGE', key, 2, new)
  return 'edited'
else
  add_gone(q, old, id)
end
redis.call('SETRANGE', key, 2, new)
if due > now then
  make_due(q, {due, new .. ':' .. id}, earliest)
else
  make_ready(q, {[new] = {id}})
end
return 'edited'
