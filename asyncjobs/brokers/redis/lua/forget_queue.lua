-- forget_queue: forget a queue with its figures, if it holds nothing: no job, no schedule, no hold, and no limit that
-- was set by hand.
-- reply  1 if it is forgotten
-- cost   O(names parked), and O(1) an entry that no longer counts, and a line
--- @include parts
local cfg = redis.call('HMGET', q.cfg, 'held', 'gone:0', 'gone:1', 'gone:2', 'gone:3', 'gone:parked', 'limit_set')
local lined, limits = 0, redis.call('HLEN', flow_key(q, 'limits'))
local keys = {q.cfg, q.stats, q.bell, q.gone, q.parked, q.tries, q.numbers, q.waiters, q.cancels, q.fences,
  q.unique, q.tenant_ends}
for _, part in ipairs({'last', 'headings', 'counts', 'states', 'notes', 'of', 'total'}) do
  keys[#keys + 1] = groups_key(q, part)
end
for _, part in ipairs({'lines', 'use', 'slots', 'booked', 'passed', 'tat', 'closed', 'opens', 'weights'}) do
  keys[#keys + 1] = flow_key(q, part)
end
for priority = 0, 3 do
  keys[#keys + 1] = flow_key(q, 'tags:' .. priority)
  keys[#keys + 1] = flow_key(q, 'turns:' .. priority)
  lined = lined + math.max(0, whole_in(redis.call('HGET', q.cfg, 'lined:' .. priority)))
end
local lines = redis.call('HGETALL', flow_key(q, 'lines'))
for n = 1, #lines, 2 do
  -- Of lines whose jobs were cancelled.
  keys[#keys + 1] = line_key(q, lines[n])
  keys[#keys + 1] = turn_key(q, string.match(lines[n], '^[^\31]*'))
  keys[#keys + 1] = wait_key(q, string.match(lines[n + 1], '^w(.*)$') or '')
end
local jobs = lined + redis.call('ZCARD', q.scheduled) + redis.call('ZCARD', q.leased) + redis.call('ZCARD', q.dead)
  + redis.call('ZCARD', q.deleted)
for priority = 0, 3 do
  keys[#keys + 1] = q.ready[priority]
  jobs = jobs + redis.call('LLEN', q.ready[priority]) - whole_in(cfg[priority + 2])
end
jobs = jobs - whole_in(cfg[6])
for _, label in ipairs(redis.call('HKEYS', q.parked)) do
  keys[#keys + 1] = parked_jobs_key(q, label)
  jobs = jobs + redis.call('LLEN', parked_jobs_key(q, label))
end
if jobs > 0 or limits > 0 or cfg[1] or cfg[7] or redis.call('HLEN', q.schedules) > 0 then
  return 0
end
for first = 1, #keys, PART do
  redis.call('DEL', unpack(keys, first, math.min(first + PART - 1, #keys)))
end
return 1
