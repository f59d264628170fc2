-- The server's time in ms, plus the queue's shift, which only the test kit sets.
local function shifted_now(shift)
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + whole_in(shift)
end

local function now_ms(q)
  return shifted_now(redis.call('HGET', q.cfg, 'shift_ms'))
end
