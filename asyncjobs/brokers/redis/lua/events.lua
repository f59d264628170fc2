-- The events of a job: a stream whose entries are numbered from 1, so that a gap shows.
local WATCHES_EVENTS = '2'

local function events_key(q, id)
  return q.base .. 'events:' .. id
end

-- The number of the last event, 0 if there is none, and the mark (fence:number) of the emission that it ended.
local function read_stream(key)
  local entry = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not entry then
    return {last = 0}
  end
  return {last = tonumber(string.match(entry[1], '^%d+')), mark = entry[2][4]}
end

-- Whether the emission of this mark was added, as far as the last one of the stream tells.
local function is_before_or_at(mark, last)
  local fence, number = string.match(mark, '^(%d+):(%d+)$')
  local last_fence, last_number = string.match(last or '', '^(%d+):(%d+)$')
  return fence == last_fence and tonumber(number) <= tonumber(last_number)
end
