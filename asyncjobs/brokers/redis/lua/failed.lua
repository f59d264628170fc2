-- failed: the dead letter queue, latest first.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 limit
-- reply  {id, died at, record, tries, …}
-- cost   O(log n + limit)
--- @include queue
local q = open_queue(1, ARGV[1])
local found, reply = redis.call('ZREVRANGE', q.dead, 0, tonumber(ARGV[2]) - 1, 'WITHSCORES'), {}
for i = 1, #found, 2 do
  local id = found[i]
  reply[#reply + 1] = id
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = redis.call('GET', job_key(q, id)) or ''
  reply[#reply + 1] = redis.call('HGET', q.tries, id) or ''
end
return reply
