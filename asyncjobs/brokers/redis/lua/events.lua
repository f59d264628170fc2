-- The events of a job: a stream whose entries are numbered from 1, so that a gap shows. A stream expires while its job
-- may still run, so the number of the last event is in the hash `numbers` too, until the job ends.
local WATCHES_EVENTS = '2'

local function events_key(q, id)
  return q.base .. 'events:' .. id
end

-- The number of the last event of the job, 0 if there is none. A stream that is known without its number is that of a
-- job which had the same id and has ended.
local function last_event(q, id)
  local number = redis.call('HGET', q.numbers, id)
  if number then
    return tonumber(number)
  end
  local last = redis.call('XREVRANGE', events_key(q, id), '+', '-', 'COUNT', 1)[1]
  return last and tonumber(string.match(last[1], '^%d+')) or 0
end
