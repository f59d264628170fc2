-- failed: the dead letter queue, or the dead of one tenant, latest first.
--- @args limit: int, tenant, died, last
-- tenant  '' for all    died, last  to go on after a page: when its last job died, and its id; '' for the first page
-- reply   {id, died at, record, tries, …}
-- cost    O(log n + limit), and the jobs that died in the millisecond in which a page ended
local dead = tenant == '' and q.dead or tenant_dead_key(q, tenant)
local found, reply, offset = {}, {}, 0
repeat
  local from = died == '' and '+inf' or died
  local page = redis.call('ZREVRANGEBYSCORE', dead, from, '-inf', 'WITHSCORES', 'LIMIT', offset, limit)
  for i = 1, #page, 2 do
    if #found < 2 * limit and not (tonumber(page[i + 1]) == tonumber(died) and page[i] >= last) then
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
