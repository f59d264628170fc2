-- series: the figures of the queue in each of the last minutes or hours.
--- @args hours: flag, count: int, skip: int
-- count  how many periods to look at, no more than are kept    skip  how many of the latest to leave out
--- @reply now_ms, periods
-- periods  {number of the period since 1970, {field, value, …}, …}, oldest first; those without any are left out
-- cost     O(counters) a period
--- @include clock
local now = now_ms(q)
local size, kept = MINUTE_MS, MINUTES_KEEP_MS / MINUTE_MS
if hours then
  size, kept = HOUR_MS, HOURS_KEEP_MS / HOUR_MS
end
local present = math.floor(now / size)
local latest = present - math.max(skip, 0)
local periods = {}
for period = math.max(latest - math.min(count, kept), present - kept) + 1, latest do
  local fields = redis.call('HGETALL', hours and hour_key(q, period) or minute_key(q, period))
  if #fields > 0 then
    periods[#periods + 1] = period
    periods[#periods + 1] = fields
  end
end
return {now, periods}
