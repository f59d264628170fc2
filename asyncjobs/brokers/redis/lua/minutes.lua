-- minutes: the counters of the queue in each of the last minutes.
--- @args count: int
-- count  how many minutes to look at, the present one among them; no more than are kept
--- @reply now_ms, minutes
-- minutes  {number of the minute since 1970, {counter, number, …}, …}, oldest first; those without any are left out
-- cost     O(count)
--- @include clock
local now = now_ms(q)
local latest = math.floor(now / 60000)
local minutes = {}
for minute = latest - math.min(count, MINUTES_KEEP_MS / 60000) + 1, latest do
  local counters = redis.call('HGETALL', minute_key(q, minute))
  if #counters > 0 then
    minutes[#minutes + 1] = minute
    minutes[#minutes + 1] = counters
  end
end
return {now, minutes}
