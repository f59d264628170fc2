--- @include ready

-- Looks at the places to which a script brings jobs; to be called before it writes.
local function check_places(q)
  check_ready(q, q.ready)
  redis.call('HLEN', q.tries)
  redis.call('ZCARD', q.dead)
end
