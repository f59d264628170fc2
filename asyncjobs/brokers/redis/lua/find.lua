-- find: one job as it stands; with `watch`, its end will be published on <base>ended.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 id   3 '1' to watch
-- reply  nil, or {record, place, number of the place, tries}; place is '' for an ended job
-- cost   O(log n), and one look through the leased jobs
--- @include queue
--- @include waiters
--- @include header
--- @include place
local q = open_queue(1, ARGV[1])
local id = ARGV[2]
local record = redis.call('GET', job_key(q, id))
if not record then
  return false
end
if is_readable(record) and is_ended(record) then
  return {record, '', 0, ''}
end
local place, number = place_of(q, id, record)
local tries = redis.call('HGET', q.tries, id) or ''
if ARGV[3] == '1' and place ~= 'failed' then
  watch(q, id, WATCHES_END)
end
return {record, place, number, tries}
