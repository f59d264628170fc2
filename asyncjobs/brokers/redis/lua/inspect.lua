-- inspect: the figures of one queue.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base
-- reply  {now, paused, ready by priority (4), parked, scheduled, leased, dead, tried, oldest ready id, its record, {stats}}
-- cost   O(names parked + histogram buckets)
--- @include queue
--- @include clock
local q = open_queue(1, ARGV[1])
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'paused', 'gone:0', 'gone:1', 'gone:2', 'gone:3', 'gone:parked')
local ready, head = {}, ''
for p = 1, 4 do
  ready[p] = redis.call('LLEN', q.ready[p]) - (tonumber(cfg[p + 2]) or 0)
  local first = redis.call('LINDEX', q.ready[p], 0)
  -- Our ids sort by time; where a sender chose another form, this is an estimate.
  if first and (head == '' or first < head) then
    head = first
  end
end
local parked = -(tonumber(cfg[7]) or 0)
for _, name in ipairs(redis.call('HKEYS', q.parked)) do
  parked = parked + redis.call('LLEN', q.base .. 'parked:' .. name)
end
return {
  now_ms(cfg[1]), cfg[2] == '1' and 1 or 0, ready, parked,
  redis.call('ZCARD', q.scheduled), redis.call('ZCARD', q.leased), redis.call('ZCARD', q.dead),
  redis.call('HLEN', q.tries), head, head ~= '' and redis.call('GET', job_key(q, head)) or '',
  redis.call('HGETALL', q.stats),
}
