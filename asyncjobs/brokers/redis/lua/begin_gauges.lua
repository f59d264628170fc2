-- begin_gauges: let one caller a minute sample the gauges, and add the minutes that are over to their hours.
-- reply  1 if the caller is to sample them now
-- cost   O(counters) a minute that is over; a call adds at most 60 of them
--- @include clock
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
local hours = {}
for one = first, last do
  local hour, fields = math.floor(one * MINUTE_MS / HOUR_MS), redis.call('HGETALL', minute_key(q, one))
  local sums = hours[hour]
  if #fields > 0 and not sums then
    sums = {counts = {}, gauges = {}}
    hours[hour] = sums
    sums.gauges[1] = redis.call('HGET', hour_key(q, hour), 'gauges')
  end
  for at = 1, #fields, 2 do
    local field, value = fields[at], fields[at + 1]
    if field == 'gauges' then
      sums.gauges[#sums.gauges + 1] = value
    else
      sums.counts[field] = (sums.counts[field] or 0) + whole_in(value)
    end
  end
end

-- The highest of each gauge.
local function highest(packed)
  local most = {}
  for _, one in ipairs(packed) do
    local ok, values = pcall(cmsgpack.unpack, one)
    for at, value in ipairs(ok and type(values) == 'table' and values or {}) do
      most[at] = math.max(most[at] or 0, whole_in(value))
    end
  end
  return most
end

redis.call('HSET', q.cfg, 'sampled', minute, 'added', last)
for hour, sums in pairs(hours) do
  local key = hour_key(q, hour)
  for field, number in pairs(sums.counts) do
    redis.pcall('HINCRBY', key, field, number)
  end
  local packed = {}
  for _, one in pairs(sums.gauges) do
    packed[#packed + 1] = one or nil
  end
  if #packed > 0 then
    redis.pcall('HSET', key, 'gauges', cmsgpack.pack(highest(packed)))
  end
  redis.pcall('PEXPIRE', key, HOURS_KEEP_MS)
end
return 1
