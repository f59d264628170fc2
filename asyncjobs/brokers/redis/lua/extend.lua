-- extend: keep leases alive. One that lapsed but was not taken over is extended too.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 lease in ms, then the members (fence:priority:id)
-- reply  {lost members, {cancelled member, reason, …}}
-- cost   O(log n) a job
--- @include queue
--- @include clock
--- @include bell
local q = open_queue(1, ARGV[1])
local members = {}
for i = 3, #ARGV do
  members[#members + 1] = ARGV[i]
end
local leases = redis.call('ZMSCORE', q.leased, unpack(members))
local reasons = redis.call('HMGET', q.cancels, unpack(members))
local deadline = now_ms(redis.call('HGET', q.cfg, 'shift_ms')) + tonumber(ARGV[2])

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
