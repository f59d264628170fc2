-- delete: forget jobs that no longer run or wait: those of the dead letter queue, and the records of ended ones.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base, then the ids
-- reply  a string of '1' (forgotten) and '0' (there is none, or it still waits or runs: cancel it first), one a job
-- cost   O(log n) a job
--- @include queue
--- @include named
--- @include header
--- @include events
--- @include dead
local q = open_queue(1, ARGV[1])
local ids, keys, records = named_jobs(q, 2)
local died = redis.call('ZMSCORE', q.dead, unpack(ids))

local reply, doomed, seen = {}, {}, {}
for i, id in ipairs(ids) do
  local record = records[i]
  if record and not seen[id] and (died[i] or (is_readable(record) and is_ended(record))) then
    seen[id] = true
    doomed[#doomed + 1] = i
    reply[i] = '1'
  else
    reply[i] = '0'
  end
end
for _, i in ipairs(doomed) do
  exhume(q, ids[i], tenant_in(records[i]))
  redis.call('HDEL', q.tries, ids[i])
  redis.call('HDEL', q.numbers, ids[i])
  redis.call('DEL', keys[i], events_key(q, ids[i]))
end
return table.concat(reply)
