-- The server's time in ms, asked for once a script, plus the queue's shift, which only the test kit sets.
local server_ms
local function shifted_now(shift)
  if not server_ms then
    local time = redis.call('TIME')
    server_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end
  return server_ms + whole_in(shift)
end

local function now_ms(q)
  return shifted_now(redis.call('HGET', q.cfg, 'shift_ms'))
end
