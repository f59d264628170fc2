-- Jobs whose end or events are awaited: a hash id -> what is watched, which lapses a day after the latest.
--- @include bell
--- @include fields
local WATCHES_END, WATCHES_EVENTS = '1', '2'
local WATCH_KEEP_MS = 24 * 3600 * 1000

-- A job whose events are watched is registered for its end too. A user who may only look is refused that: it is told
-- of what others watch, and looks again by itself.
local function watch(q, id, what)
  redis.pcall('LTRIM', q.bell, 0, 0)
  redis.pcall(what == WATCHES_END and 'HSETNX' or 'HSET', q.waiters, id, what)
  redis.pcall('PEXPIRE', q.waiters, WATCH_KEEP_MS)
end

-- Those of `ids` that are awaited; to be read before the script writes.
local function awaited_ids(q, ids)
  local found = {}
  for n, what in ipairs(values_of(q.waiters, ids)) do
    if what then
      found[#found + 1] = ids[n]
    end
  end
  return found
end

local function publish(q, id)
  redis.pcall('PUBLISH', q.base .. ENDED_CHANNEL, id)
end

local function tell_waiter(q, id)
  redis.pcall('HDEL', q.waiters, id)
  publish(q, id)
end

local function tell_waiters(q, ids)
  for _, id in ipairs(ids) do
    tell_waiter(q, id)
  end
end
