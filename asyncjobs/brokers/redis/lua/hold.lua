-- hold: let no job of the queue, of a name or of a tenant be claimed; or let them again.
--- @args label, holds: flag
-- label  see include/parking.lua
-- reply  1 if that changed anything
-- cost   O(labels that are held)
--- @include clock
--- @include bell
--- @include parking
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held')
local held = read_held(cfg[2]) or {}
if (held[label] or false) == holds then
  return 0
end
held[label] = holds or nil
local labels = {}
for one in pairs(held) do
  labels[#labels + 1] = one
end
table.sort(labels)
local is_parked = redis.call('HEXISTS', q.parked, label) == 1

begin_writes(q)
if #labels == 0 then
  redis.call('HDEL', q.cfg, 'held')
else
  redis.call('HSET', q.cfg, 'held', cmsgpack.pack(labels))
end
if is_parked and not holds then
  -- The time to wait for a worker that knows the name begins now.
  redis.call('HSET', q.parked, label, shifted_now(cfg[1]))
end
if not holds then
  ring(q)
end
return 1
