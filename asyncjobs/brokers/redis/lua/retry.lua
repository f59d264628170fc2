-- retry: jobs of the dead letter queue become ready again, with all their retries before them and their errors kept.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base, then the ids
-- reply  a string of '1' (ready) and '0' (it isn't in the dead letter queue), one a job
-- cost   O(log n) a job
--- @include queue
--- @include named
--- @include bell
--- @include header
--- @include tries
--- @include dead
local q = open_queue(1, ARGV[1])
local ids, _, records = named_jobs(q, 2)
local died = redis.call('ZMSCORE', q.dead, unpack(ids))
local tries = redis.call('HMGET', q.tries, unpack(ids))

local reply, retried = {}, {}
for i, id in ipairs(ids) do
  reply[i] = '0'
  if records[i] and died[i] and not retried[id] then
    local _, _, errors = read_tries(tries[i])
    exhume(q, id, tenant_in(records[i]))
    redis.call('HSET', q.tries, id, write_tries(0, 0, errors))
    redis.call('RPUSH', q.ready[priority_of(records[i]) + 1], id)
    reply[i] = '1'
    retried[id] = true
  end
end
if next(retried) then
  ring(q)
end
return table.concat(reply)
