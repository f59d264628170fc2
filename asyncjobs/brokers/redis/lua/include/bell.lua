-- The bell holds at most one wake-up token: the worker that takes it claims all it can, and rings if more is left.

-- Whether there is a token; the server is asked once.
local function is_rung(q)
  if q.rung == nil then
    q.rung = redis.call('LLEN', q.bell) > 0
  end
  return q.rung
end

local function ring(q)
  if not is_rung(q) then
    redis.call('RPUSH', q.bell, '1')
    q.rung = true
  end
end

-- At maxmemory with noeviction Redis refuses a script whose first write could grow memory, but lets it go on once a
-- shrinking one has passed. What brings nothing new begins with this: a full server must still be drained and steered.
-- A script that raises later takes nothing back, so what may be refused is looked at before: HLEN, LLEN and ZCARD raise
-- where a key holds another type. What only counts or cleans up goes through redis.pcall, and costs no job.
local function begin_writes(q)
  redis.call('LTRIM', q.bell, 0, 0)
end
