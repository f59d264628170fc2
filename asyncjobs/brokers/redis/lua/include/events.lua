-- The events of a job: a stream whose entries are numbered from 1, so that a gap shows. A stream expires while its job
-- may still run, so the number of the last event is kept in the hash `numbers` until the job ends.

-- The number of the last event of the job, 0 if there is none, and the mark (fence:number) of the emission that it came
-- with. A stream that is known without its number is that of a job which had the same id and has ended.
local function read_numbers(q, id)
  local last, mark = string.match(redis.call('HGET', q.numbers, id) or '', '^(%d+) (.*)$')
  if not last then
    local entry = redis.call('XREVRANGE', events_key(q, id), '+', '-', 'COUNT', 1)[1]
    last = entry and string.match(entry[1], '^%d+')
  end
  return {last = tonumber(last) or 0, mark = mark}
end

-- Whether the emission of this mark was added, as far as the last one tells.
local function is_before_or_at(mark, last)
  local fence, number = string.match(mark, '^(%d+):(%d+)$')
  local last_fence, last_number = string.match(last or '', '^(%d+):(%d+)$')
  return fence == last_fence and tonumber(number) <= tonumber(last_number)
end
