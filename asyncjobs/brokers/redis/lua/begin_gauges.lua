-- begin_gauges: let one caller a minute sample the gauges, and add the minutes that are over to their hours.
-- reply  1 if the caller is to sample them now
-- cost   O(counters) a minute that is over; a call adds at most 60 of them
--- @include clock
--- @include histograms
local MAX_ADDED = 60

local now = now_ms(q)
local minute = math.floor(now / MINUTE_MS)
local cfg = redis.call('HMGET', q.cfg, 'sampled', 'added')
if whole_in(cfg[1]) == minute then
  return 0
end
local oldest = minute - MINUTES_KEEP_MS / MINUTE_MS + 1
-- After the clock was set back, minutes that were added before are counted on, and not added again.
local first = math.max(oldest, whole_in(cfg[2]) + 1)
local last = math.max(whole_in(cfg[2]), math.min(minute - 1, first + MAX_ADDED - 1))

-- The highest of each gauge.
local function add_highest(most, packed)
  for at, value in ipairs(unpacked(packed)) do
    most[at] = math.max(most[at] or 0, whole_in(value))
  end
end

local hours = {}
for one = first, last do
  local hour, fields = math.floor(one * MINUTE_MS / HOUR_MS), redis.call('HGETALL', minute_key(q, one))
  local sums = hours[hour]
  if #fields > 0 and not sums then
    local before = redis.call('HMGET', hour_key(q, hour), 'runs', 'waits', 'gauges')
    sums = {counts = {}, runs = {}, waits = {}, gauges = {}}
    add_buckets(sums.runs, unpacked(before[1] or ''))
    add_buckets(sums.waits, unpacked(before[2] or ''))
    add_highest(sums.gauges, before[3] or '')
    hours[hour] = sums
  end
  for at = 1, #fields, 2 do
    local field, value = fields[at], fields[at + 1]
    if field == 'gauges' then
      add_highest(sums.gauges, value)
    elseif field == 'runs' or field == 'waits' then
      add_buckets(sums[field], unpacked(value))
    else
      sums.counts[field] = (sums.counts[field] or 0) + whole_in(value)
    end
  end
end

redis.call('HSET', q.cfg, 'sampled', minute, 'added', last)
for hour, sums in pairs(hours) do
  local key = hour_key(q, hour)
  for field, number in pairs(sums.counts) do
    redis.pcall('HINCRBY', key, field, number)
  end
  set_histograms(key, sums.runs, sums.waits)
  if #sums.gauges > 0 then
    redis.pcall('HSET', key, 'gauges', cmsgpack.pack(sums.gauges))
  end
  redis.pcall('PEXPIRE', key, HOURS_KEEP_MS)
end
return 1
