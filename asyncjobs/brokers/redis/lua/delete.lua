-- delete: forget jobs that no longer run or wait: those of the dead letter queue, and the records of ended ones.
--- @list ids
-- reply  a string of '1' (forgotten) and '0' (there is none, or it still waits or runs: cancel it first), one a job
-- cost   O(log n) a job
--- @include records
--- @include header
--- @include dead
--- @include forget
local records = heads_of(q, ids)
local died = redis.call('ZMSCORE', q.dead, unpack(ids))

local reply, doomed, tenants, seen = {}, {}, {}, {}
for i, id in ipairs(ids) do
  local record = records[i]
  if record and not seen[id] and (died[i] or (is_readable(record) and is_ended(record))) then
    seen[id] = true
    doomed[#doomed + 1] = id
    tenants[#tenants + 1] = tenant_in(record)
    reply[i] = '1'
  else
    reply[i] = '0'
  end
end
exhume(q, doomed, tenants)
forget_all(q, doomed)
return table.concat(reply)
