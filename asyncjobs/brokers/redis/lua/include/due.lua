-- Jobs that start at a time of their own: `priority:id` in the set `scheduled`, by their due time.
--- @include bell
--- @include parts

-- The time that a caller gave: '+ms' that long from now by the server's clock, '@ms' that Unix time, no further ahead
-- than the longest duration.
local function time_given(when, now)
  local ms = string.sub(when, 2)
  return string.sub(when, 1, 1) == '+' and now + ms_in(ms) or math.min(whole_in(ms), now + MAX_DURATION_MS)
end

local function scheduled_member(priority, id)
  return priority .. ':' .. id
end

local function earliest_due(q)
  local first = redis.call('ZRANGE', q.scheduled, 0, 0, 'WITHSCORES')
  return tonumber(first[2])
end

-- Notes that the job is to start at `due`.
local function put_off(dues, due, priority, id)
  dues[#dues + 1] = due
  dues[#dues + 1] = scheduled_member(priority, id)
end

-- Schedules `dues` {due, 'priority:id', …}, not none; `earliest` is what earliest_due gave before the script wrote.
-- A new earliest time means that the keeper of the queue's timer has set it too late: without a keeper, and with the
-- bell rung, the next claim sets it anew.
local function make_due(q, dues, earliest)
  for first = 1, #dues, PART do
    redis.call('ZADD', q.scheduled, unpack(dues, first, math.min(first + PART - 1, #dues)))
  end
  local first = math.huge
  for i = 1, #dues, 2 do
    first = math.min(first, dues[i])
  end
  if not earliest or first < earliest then
    redis.call('HDEL', q.cfg, 'keeper', 'keeper_until')
    ring(q)
  end
end
