-- suspend: let no job of a name, or of a tenant, be claimed; or let them again.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 'n' name, 't' tenant   3 which   4 '1' to suspend, '0' to resume
-- reply  1 if that changed anything
-- cost   O(suspended)
--- @include queue
--- @include clock
--- @include bell
--- @include suspended
local q = open_queue(1, ARGV[1])
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'suspended')
local suspended, entry = read_suspended(cfg[2]), ARGV[2] .. ARGV[3]
local wanted = ARGV[4] == '1' or nil
if suspended[entry] == wanted then
  return 0
end
suspended[entry] = wanted
local entries = {}
for one in pairs(suspended) do
  entries[#entries + 1] = one
end
if #entries == 0 then
  redis.call('HDEL', q.cfg, 'suspended')
else
  table.sort(entries)
  redis.call('HSET', q.cfg, 'suspended', cmsgpack.pack(entries))
end
local label = ARGV[2] == 't' and ' ' .. ARGV[3] or ARGV[3]
if not wanted and redis.call('HEXISTS', q.parked, label) == 1 then
  -- The time to wait for a worker that knows the name begins now.
  redis.call('HSET', q.parked, label, now_ms(cfg[1]))
end
ring(q)
return 1
