-- minutes: the counters of the queue in each minute that is kept.
--- @reply now_ms, minutes
-- minutes  {number of the minute since 1970, {counter, number, …}, …}, oldest first; those without any are left out
-- cost     O(minutes that are kept)
--- @include clock
local now = now_ms(q)
local latest = math.floor(now / 60000)
local minutes = {}
for minute = latest - MINUTES_KEEP_MS / 60000, latest do
  local counters = redis.call('HGETALL', minute_key(q, minute))
  if #counters > 0 then
    minutes[#minutes + 1] = minute
    minutes[#minutes + 1] = counters
  end
end
return {now, minutes}
