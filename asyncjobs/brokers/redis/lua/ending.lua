-- Tells those who await the end of `ids`. `awaited` is what HMGET of the waiters gave for them, read before any write.
local function awaited_ids(q, ids)
  if #ids == 0 or redis.call('EXISTS', q.waiters) == 0 then
    return {}
  end
  local found = {}
  for i, registered in ipairs(redis.call('HMGET', q.waiters, unpack(ids))) do
    if registered then
      found[#found + 1] = ids[i]
    end
  end
  return found
end

local function tell_waiters(q, ids)
  for _, id in ipairs(ids) do
    redis.call('HDEL', q.waiters, id)
    redis.call('PUBLISH', q.base .. 'ended', id)
  end
end

local HISTORY_LENGTH = 1000
local HISTORY_SECONDS = 30 * 24 * 3600

local function add_history(q, name, entries)
  local key = q.base .. 'history:' .. name
  redis.call('LPUSH', key, unpack(entries))
  redis.call('LTRIM', key, 0, HISTORY_LENGTH - 1)
  redis.call('EXPIRE', key, HISTORY_SECONDS)
end

local MINUTE_SECONDS = 6 * 3600

-- Adds `counts` (field -> number) to the queue's totals and to those of this minute.
local function count(q, now, counts)
  local minute = q.base .. 'stats:' .. math.floor(now / 60000)
  for field, number in pairs(counts) do
    redis.call('HINCRBY', q.stats, field, number)
    if string.sub(field, 1, 2) ~= 'h:' then
      redis.call('HINCRBY', minute, field, number)
    end
  end
  redis.call('EXPIRE', minute, MINUTE_SECONDS)
end
