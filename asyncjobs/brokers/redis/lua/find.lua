-- find: one job as it stands; with `watches`, its end will be published.
--- @args id, watches: flag
--- @reply record, place, detail, tries, now_ms
-- place   '' for an ended job, else as place_of gives it, and `detail` with it
-- detail  of an ended job, for how long its record is kept from now on, in ms; -1 unless its result may have lapsed
-- now_ms  the time, of a job that runs; 0 of others, and where its end is to be watched
-- reply   nil if there is none
-- cost    O(log n)
--- @include clock
--- @include header
--- @include place
--- @include waiters
local record = redis.call('GET', job_key(q, id))
if not record then
  return false
end
if is_readable(record) and is_ended(record) then
  return {record, '', is_brief(record) and redis.call('PTTL', job_key(q, id)) or -1, '', 0}
end
local place, detail = place_of(q, id, record)
local tries = redis.call('HGET', q.tries, id) or ''
if watches and place ~= 'failed' then
  watch(q, id, WATCHES_END)
end
return {record, place, detail or 0, tries, place == 'running' and not watches and now_ms(q) or 0}
