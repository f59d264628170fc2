-- find: one job as it stands; with `watches`, its end will be published.
--- @args id, watches: flag
--- @reply record, place, number, tries
-- place   '' for an ended job, else as place_of gives it, and `number` with it
-- reply   nil if there is none
-- cost    O(log n)
--- @include header
--- @include place
--- @include waiters
local record = redis.call('GET', job_key(q, id))
if not record then
  return false
end
if is_readable(record) and is_ended(record) then
  return {record, '', 0, ''}
end
local place, number = place_of(q, id, record)
local tries = redis.call('HGET', q.tries, id) or ''
if watches and place ~= 'failed' then
  watch(q, id, WATCHES_END)
end
return {record, place, number, tries}
