-- The bell holds at most one token: whoever takes it claims all he can, and rings again if more is left.
local function ring(q)
  if redis.call('LLEN', q.bell) == 0 then
    redis.call('RPUSH', q.bell, '1')
  end
end

-- At maxmemory with noeviction Redis refuses a script whose first write could grow memory, but lets it go on once a
-- shrinking one has passed. Claim, settle, extend and recover free memory in the end, and who awaits a
-- result must hear of it, so these begin with this.
local function begin_writes(q)
  redis.call('LTRIM', q.bell, 0, 0)
end
