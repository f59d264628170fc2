-- ring: wake a worker if something is startable.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base
-- reply  1 if there is something
-- cost   O(1)
--- @include queue
--- @include bell
local q = open_queue(1, ARGV[1])
for p = 1, 4 do
  if redis.call('LLEN', q.ready[p]) > 0 then
    ring(q)
    return 1
  end
end
return 0
