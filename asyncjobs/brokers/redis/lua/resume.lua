-- resume: serve a paused queue again.
-- reply  1 if it was paused
-- cost   O(1)
--- @include bell
local q = open_queue(1)
local was_paused = redis.call('HDEL', q.cfg, 'paused')
ring(q)
return was_paused
