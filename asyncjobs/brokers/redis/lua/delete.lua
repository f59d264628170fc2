-- delete: forget jobs that no longer run or wait: those of the dead letter queue, the records of ended ones, and with
-- nothing to keep those that were deleted before.
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
local records = heads_of(q, ids)
local died = redis.call('ZMSCORE', q.dead, unpack(ids))
local kept = keep_ms == 0 and values_of(q.deletions, ids) or {}

local reply, doomed, tenants, deaths, forgotten, seen = {}, {}, {}, {}, {}, {}
for i, id in ipairs(ids) do
  local record = records[i]
  reply[i] = '0'
  if not seen[id] then
    seen[id] = true
    if record and (died[i] or (is_readable(record) and is_ended(record))) then
      doomed[#doomed + 1] = id
      tenants[#doomed], deaths[#doomed] = tenant_in(record), died[i]
      reply[i] = '1'
    end
    if kept[i] then
      forgotten[#forgotten + 1] = id
      reply[i] = '1'
    end
  end
end
if #doomed > 0 then
  if keep_ms > 0 then
    keep_deleted(q, doomed, deaths, keep_ms, deletion, tenants)
  else
    exhume(q, doomed, tenants)
    forget_all(q, doomed)
  end
end
forget_deleted(q, forgotten)
return table.concat(reply)
