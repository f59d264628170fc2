-- hold: let no job of the queue, of a name or of a tenant be claimed; or let them again.
--- @args label, holds: flag, by, why
-- label  see include/parking.lua
-- by, why  who holds it and why; for what is held already, another reason, if why is not empty
-- reply  1 if that changed anything
-- cost   O(labels that are held)
--- @include clock
--- @include bell
--- @include parking
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held', 'held_notes')
local held, notes = read_held(cfg[2]) or {}, cfg[3] and cmsgpack.unpack(cfg[3]) or {}
local note = notes[label] or {0, '', ''}
local is_held = held[label] or false
if is_held == holds and (not holds or why == '' or (note[2] == by and note[3] == why)) then
  return 0
end
held[label] = holds or nil
notes[label] = holds and {is_held and note[1] or shifted_now(cfg[1]), by, why} or nil
local labels = {}
for one in pairs(held) do
  labels[#labels + 1] = one
end
table.sort(labels)
local is_parked = redis.call('HEXISTS', q.parked, label) == 1

begin_writes(q)
if #labels == 0 then
  redis.call('HDEL', q.cfg, 'held', 'held_notes')
else
  redis.call('HSET', q.cfg, 'held', cmsgpack.pack(labels), 'held_notes', cmsgpack.pack(notes))
end
if is_parked and not holds then
  -- The time to wait for a worker that knows the name begins now.
  redis.call('HSET', q.parked, label, shifted_now(cfg[1]))
end
if not holds then
  ring(q)
end
return 1
