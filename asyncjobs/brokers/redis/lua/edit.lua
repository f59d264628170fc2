-- edit: give a waiting job another priority, or another time.
--- @args id, priority, when
-- priority  '0' to '3', or '' to leave it
-- when      '' to leave its time, '+ms' that long from now, '@ms' at that Unix time; what is past is now
-- reply     'unknown', 'ended', 'failed', 'running' (too late) or 'edited'
-- cost      O(log n)
--- @include clock
--- @include header
--- @include entered
--- @include due
--- @include place
--- @include gone
--- @include parking
local record = redis.call('GET', job_key(q, id))
if not record then
  return 'unknown'
elseif not (is_readable(record) or is_newer(record)) then
  return 'failed'
elseif is_ended(record) then
  return 'ended'
end
local place, number = place_of(q, id, record)
if place == 'failed' or place == 'running' then
  return place
end
local now, earliest, where, key = now_ms(q), earliest_due(q), list_of(record), line_of(record)
local old = priority_of(record)
local new = priority == '' and old or math.max(0, math.min(whole_in(priority), 3))
local due = place == 'scheduled' and number or now
if when ~= '' then
  due = time_given(when, now)
end

local moves = place ~= 'scheduled' and (due > now or not (is_parked(record) or new == old))
local dues, waiting, flow = {}, {}, nil
if due > now then
  put_off(dues, due, new, id)
elseif key ~= '' and (moves or place == 'scheduled') then
  flow = read_flow(q, now)
  enter_line(flow, new, key, id)
  plan_entered(q, flow)
elseif moves or place == 'scheduled' then
  line_up(waiting, new, id)
end
check_gone(q)
redis.call('LLEN', q.ready[new])
begin_writes(q)
if place == 'scheduled' then
  redis.call('ZREM', q.scheduled, old .. ':' .. id)
elseif moves then
  add_gone(q, where, id)
  count_left(q, where)
  if due > now then
    set_kind(job_key(q, id), LIVE)
  end
end
set_priority(job_key(q, id), new)
if dues[1] then
  make_due(q, dues, earliest)
end
make_startable(q, waiting, flow)
return 'edited'
