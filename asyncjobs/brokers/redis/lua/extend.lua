-- extend: keep leases alive. One that lapsed but was not taken over is extended too.
--- @args lease_ms: ms
--- @list members
-- members  fence:priority:id
--- @reply lost, cancelled
-- lost  members    cancelled  {member, reason, …}
-- cost     O(log n) a job
--- @include clock
--- @include bell
--- @include fields
local leases = redis.call('ZMSCORE', q.leased, unpack(members))
local reasons = values_of(q.cancels, members)
local deadline = now_ms(q) + lease_ms

local lost, cancelled, held = {}, {}, {}
for i, member in ipairs(members) do
  if leases[i] then
    held[#held + 1] = deadline
    held[#held + 1] = member
    if reasons[i] then
      cancelled[#cancelled + 1] = member
      cancelled[#cancelled + 1] = reasons[i]
    end
  else
    lost[#lost + 1] = member
  end
end
if #held > 0 then
  begin_writes(q)
  redis.call('ZADD', q.leased, 'XX', unpack(held))
end
return {lost, cancelled}
