-- How many jobs of the queue may run, at once and in a time, as core/limits.py has it. In cfg, `limit` is the one that
-- holds: 'running starts per_ms burst', 0 for none; `used_until` is the theoretical arrival time of its rate.

-- The limit, nil if there is none:
--   running  0 for any number    step  ms from one start to the next, nil without a rate    burst, used_until
--   is_cut   whether `used_until` was later than starts can make it: the clock was set back, or the rate was another
local function limit_in(text, used_until, now)
  local running, starts, per, burst = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  if not running then
    return nil
  end
  local limit = {running = tonumber(running)}
  if starts ~= '0' and per ~= '0' then
    limit.step, limit.burst = tonumber(per) / tonumber(starts), math.max(1, tonumber(burst))
    local stored, latest = tonumber(used_until) or 0, now + limit.burst * limit.step
    limit.used_until, limit.is_cut = math.min(stored, latest), stored > latest
  end
  return limit
end

-- How many jobs the rate allows now.
local function starts_left(limit, now)
  local left = now + (limit.burst - 1) * limit.step - math.max(limit.used_until, now)
  return math.max(0, math.floor(left / limit.step + 1e-6) + 1)
end

-- The theoretical arrival time after so many starts.
local function used_up(limit, now, starts)
  return starts > 0 and math.max(limit.used_until, now) + starts * limit.step or limit.used_until
end

-- When the rate allows the next starts, if it allows none after so many; else nil.
local function opens_at(limit, now, starts)
  if not limit.step or starts_left(limit, now) > starts then
    return nil
  end
  local at_once = math.min(limit.burst, math.max(1, math.floor(QUANTUM_MS / limit.step)))
  return math.ceil(used_up(limit, now, starts) - (limit.burst - at_once) * limit.step)
end

-- How many jobs may start now.
local function read_room(q, limit, now)
  local room = limit.running > 0 and math.max(0, limit.running - redis.call('ZCARD', q.leased)) or math.huge
  return limit.step and math.min(room, starts_left(limit, now)) or room
end

-- Notes that so many jobs start now.
local function use_rate(q, limit, now, starts)
  if limit.step and (starts > 0 or limit.is_cut) then
    redis.call('HSET', q.cfg, 'used_until', string.format('%.3f', used_up(limit, now, starts)))
  end
end

-- Whether as many jobs run as may run at once, so that the end of one lets another start.
local function is_full(q, text)
  local running = tonumber(string.match(text, '^%d+')) or 0
  return running > 0 and redis.call('ZCARD', q.leased) >= running
end
