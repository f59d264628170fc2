-- suspend: let no job of a name, or of a tenant, be claimed; or let them again.
--- @args kind, which, suspends: flag
-- kind   'n' name, 't' tenant
-- reply  1 if that changed anything
-- cost   O(suspended)
--- @include clock
--- @include bell
--- @include suspended
local q = open_queue(1)
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'suspended')
local suspended, entry = read_suspended(cfg[2]), kind .. which
local wanted = suspends or nil
if suspended[entry] == wanted then
  return 0
end
suspended[entry] = wanted
local entries = {}
for one in pairs(suspended) do
  entries[#entries + 1] = one
end
local label = kind == 't' and ' ' .. which or which
local is_parked = redis.call('HEXISTS', q.parked, label) == 1
if #entries == 0 then
  redis.call('HDEL', q.cfg, 'suspended')
else
  table.sort(entries)
  redis.call('HSET', q.cfg, 'suspended', cmsgpack.pack(entries))
end
if not wanted and is_parked then
  -- The time to wait for a worker that knows the name begins now.
  redis.call('HSET', q.parked, label, shifted_now(cfg[1]))
end
ring(q)
return 1
