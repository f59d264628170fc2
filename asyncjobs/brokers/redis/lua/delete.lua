-- delete: forget jobs that no longer run or wait: those of the dead letter queue, and the records of ended ones.
--- @args keep_ms: ms, deletion: int
--- @list ids
-- keep_ms   for how long the deletion can be undone, 0 if it can't be
-- deletion  the number of the deletion, which rises, and may be that of several calls
-- reply  a string of '1' (deleted) and '0' (there is none, or it still waits or runs: cancel it first), one a job
-- cost   O(log n) a job
--- @include records
--- @include header
--- @include dead
--- @include fields
--- @include forget
--- @include deleted
--- @include unique
local records = heads_of(q, ids)
local died = redis.call('ZMSCORE', q.dead, unpack(ids))

local reply, doomed, heads, tenants, deaths, seen = {}, {}, {}, {}, {}, {}
for i, id in ipairs(ids) do
  local record = records[i]
  if record and not seen[id] and (died[i] or (is_readable(record) and is_ended(record))) then
    seen[id] = true
    doomed[#doomed + 1] = id
    heads[#doomed], tenants[#doomed], deaths[#doomed] = record, tenant_in(record), died[i]
    reply[i] = '1'
  else
    reply[i] = '0'
  end
end
local keys = keys_left(q, doomed, heads, true)
if #doomed > 0 then
  if keep_ms > 0 then
    keep_deleted(q, doomed, deaths, keep_ms, deletion, tenants)
  else
    exhume(q, doomed, tenants)
    forget_all(q, doomed)
  end
  remove_fields(q.unique, keys)
end
return table.concat(reply)
