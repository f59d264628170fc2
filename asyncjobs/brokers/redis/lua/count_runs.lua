-- count_runs: add what attempts came to, to the figures of this minute, and to those of their names in this hour.
--- @each run: name, succeeded: int, failed: int, retried: int, cancelled: int, run_us: int, runs, waits
-- runs, waits  packed histograms
-- reply  nothing
-- cost   O(buckets)
--- @include clock
--- @include histograms
-- Where a figure holds something else, it is left out or begins anew. A call that is sent twice counts twice.

local now = now_ms(q)
local minute, key = minute_key(q, math.floor(now / MINUTE_MS)), runs_key(q, math.floor(now / HOUR_MS))
local known = redis.call('HLEN', key)
local before_here = redis.call('HMGET', minute, 'runs', 'waits')
local totals, order, runs_here, waits_here = {}, {}, {}, {}
add_buckets(runs_here, unpacked(before_here[1] or ''))
add_buckets(waits_here, unpacked(before_here[2] or ''))
for n = 1, run_rows do
  --- @row run n: name, succeeded, failed, retried, cancelled, run_us, runs, waits
  local stored = redis.call('HGET', key, name)
  if not stored and not totals[name] then
    if known >= MAX_NAMES then
      name = ''
      stored = redis.call('HGET', key, name)
    end
    known = known + (stored and 0 or 1)
  end
  local total = totals[name]
  if not total then
    local before = stored and unpacked(stored) or {}
    total = {runs = {}, waits = {}}
    for at = 1, 5 do
      total[at] = whole_in(before[at])
    end
    add_buckets(total.runs, before[6])
    add_buckets(total.waits, before[7])
    totals[name] = total
    order[#order + 1] = name
  end
  for at, number in ipairs({succeeded, failed, retried, cancelled, run_us}) do
    total[at] = total[at] + number
  end
  local own_runs, own_waits = unpacked(runs), unpacked(waits)
  add_buckets(total.runs, own_runs)
  add_buckets(total.waits, own_waits)
  add_buckets(runs_here, own_runs)
  add_buckets(waits_here, own_waits)
end
set_histograms(minute, runs_here, waits_here)
redis.pcall('PEXPIRE', minute, MINUTES_KEEP_MS)
for _, name in ipairs(order) do
  local one = totals[name]
  local packed = cmsgpack.pack({one[1], one[2], one[3], one[4], one[5], listed(one.runs), listed(one.waits)})
  redis.pcall('HSET', key, name, packed)
end
redis.pcall('PEXPIRE', key, RUNS_KEEP_MS)
