-- The events of a job: a stream whose entries are numbered from 1, so that a gap shows.
local WATCHES_EVENTS = '2'

local function events_key(q, id)
  return q.base .. 'events:' .. id
end

-- The number of the last event, 0 if there is none.
local function last_event(key)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  return last and tonumber(string.match(last[1], '^%d+')) or 0
end
