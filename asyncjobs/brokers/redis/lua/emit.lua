-- emit: add events of running jobs to their streams; an attempt that has lost its lease adds nothing, nor does an
-- emission that was added before.
--- @args max_events: int, keep_ms: ms
--- @each emission: member, number, skipped: int, count: int
--- @list events
-- max_events  how many events a job keeps, for `keep_ms` after the latest
-- member      fence:priority:id of the lease    number  of the emission under this lease
-- skipped     how many events were dropped before these    count  how many of the events are its own
-- reply       a string of '1' (added, now or before) and '0' (refused), one an emission
-- cost        O(1) an event
--- @include clock
--- @include leases
--- @include waiters
--- @include events
local reply, adds, numbers, events_before = {}, {}, {}, 0
for n = 1, emission_rows do
  --- @row emission n: member, number, skipped, count
  count = math.max(0, math.min(count, #events - events_before))
  reply[n] = '0'
  if redis.call('ZSCORE', q.leased, member) then
    reply[n] = '1'
    local fence, _, id = read_member(member)
    local mark, told = fence .. ':' .. number, numbers[id] or read_numbers(q, id)
    if not is_before_or_at(mark, told.mark) then
      local first = told.last + skipped + 1
      told = {last = first + count - 1, mark = mark}
      adds[#adds + 1] = {
        id = id, first = first, last = told.last, mark = mark, events_before = events_before,
        watches = redis.call('HGET', q.waiters, id),
      }
    end
    numbers[id] = told
  end
  events_before = events_before + count
end

if #adds == 0 then
  return table.concat(reply)
end
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'events_until')
-- A job that comes to have the id of an earlier one must not find its events: until then they are looked for.
local events_until = shifted_now(cfg[1]) + keep_ms
if events_until > (tonumber(cfg[2]) or 0) then
  redis.call('HSET', q.cfg, 'events_until', events_until)
end
for _, add in ipairs(adds) do
  for number = add.first, add.last do
    local event = events[add.events_before + 1 + number - add.first]
    local added = redis.pcall('XADD', events_key(q, add.id), 'MAXLEN', max_events, number .. '-0', 'e', event)
    -- A full server refuses the first one, and nothing has been written. Where a stream takes no event, the gap shows.
    if type(added) == 'table' and string.find(added.err, 'OOM', 1, true) then
      return added
    end
  end
  redis.call('PEXPIRE', events_key(q, add.id), keep_ms)
  redis.call('HSET', q.numbers, add.id, add.last .. ' ' .. add.mark)
  if add.watches == WATCHES_EVENTS then
    publish(q, add.id)
  end
end
return table.concat(reply)
