-- keep_gauges: keep the gauges of this minute, and count the jobs that came in since those before.
--- @args gauges, arrived: int
-- gauges  a packed ports/series.py Gauges    arrived  how many jobs have ever come in
-- reply   nothing
-- cost    O(1)
--- @include clock
local minute = math.floor(now_ms(q) / MINUTE_MS)
-- 'minute arrived' of the sample before.
local before, had = string.match(redis.call('HGET', q.cfg, 'arrived') or '', '^(%d+) (%d+)$')
local gap = before and minute - whole_in(before) or MAX_ARRIVALS_GAP + 1
local key = minute_key(q, minute)
redis.call('HSET', key, 'gauges', gauges)
if gap >= 0 and gap <= MAX_ARRIVALS_GAP and arrived > whole_in(had) then
  redis.pcall('HINCRBY', key, 'arrived', arrived - whole_in(had))
end
redis.pcall('PEXPIRE', key, MINUTES_KEEP_MS)
redis.pcall('HSET', q.cfg, 'arrived', minute .. ' ' .. arrived)
