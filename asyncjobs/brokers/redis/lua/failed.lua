-- failed: the dead letter queue, or the dead of one tenant, latest first.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 limit   3 tenant, '' for all   and, to go on after a page:   4 when its last job died   5 its id
-- reply  {id, died at, record, tries, …}
-- cost   O(log n + limit), and the jobs that died in the millisecond in which a page ended
--- @include queue
--- @include dead
local q = open_queue(1, ARGV[1])
local limit, died, last = tonumber(ARGV[2]), ARGV[4], ARGV[5]
local dead = ARGV[3] == '' and q.dead or dead_of(q, ARGV[3])
local found, reply, offset = {}, {}, 0
repeat
  local page = redis.call('ZREVRANGEBYSCORE', dead, died or '+inf', '-inf', 'WITHSCORES', 'LIMIT', offset, limit)
  for i = 1, #page, 2 do
    if #found < 2 * limit and not (died and tonumber(page[i + 1]) == tonumber(died) and page[i] >= last) then
      found[#found + 1] = page[i]
      found[#found + 1] = page[i + 1]
    end
  end
  offset = offset + limit
until #page < 2 * limit or #found >= 2 * limit
for i = 1, #found, 2 do
  local id = found[i]
  reply[#reply + 1] = id
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = redis.call('GET', job_key(q, id)) or ''
  reply[#reply + 1] = redis.call('HGET', q.tries, id) or ''
end
return reply
