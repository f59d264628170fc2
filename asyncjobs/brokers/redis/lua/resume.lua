-- resume: serve a paused queue again.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base
-- reply  1 if it was paused
-- cost   O(1)
--- @include queue
--- @include bell
local q = open_queue(1, ARGV[1])
local was_paused = redis.call('HDEL', q.cfg, 'paused')
ring(q)
return was_paused
