-- forget_deleted: forget deleted jobs for good, before the time for which their deletion can be undone is over.
--- @list ids
-- reply  a string of '1' (forgotten) and '0' (it isn't kept), one a job
-- cost   O(log n) a job
--- @include deleted
local kept, reply, doomed = values_of(q.deletions, ids), {}, {}
redis.call('ZCARD', q.deleted)
for n, id in ipairs(ids) do
  reply[n] = '0'
  if kept[n] then
    reply[n] = '1'
    doomed[#doomed + 1] = id
  end
end
forget_deleted(q, doomed)
return table.concat(reply)
