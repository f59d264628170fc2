-- emit: add events of running jobs to their streams; an attempt that has lost its lease adds nothing, nor does an
-- emission that was added before.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 how many events a job keeps   3 for how many ms, then for each emission: id, member
--        (fence:priority:id), fence:number, how many events were dropped before these, how many follow, and those
-- reply  a string of '1' (added, now or before) and '0' (refused), one an emission
-- cost   O(1) an event
--- @include queue
--- @include waiters
--- @include events
local q = open_queue(1, ARGV[1])
local most, ttl_ms = ARGV[2], ARGV[3]
local reply, adds, numbers = {}, {}, {}
local at = 4
while at <= #ARGV do
  local id, mark, count = ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 4])
  if redis.call('ZSCORE', q.leased, ARGV[at + 1]) then
    local told = numbers[id] or read_numbers(q, id)
    if not is_before_or_at(mark, told.mark) then
      local add = {id = id, key = events_key(q, id), mark = mark, first = at + 5, count = count}
      add.number = told.last + tonumber(ARGV[at + 3])
      add.watch = redis.call('HGET', q.waiters, id)
      adds[#adds + 1] = add
      told = {last = add.number + count, mark = mark}
    end
    numbers[id] = told
    reply[#reply + 1] = '1'
  else
    reply[#reply + 1] = '0'
  end
  at = at + 5 + count
end

for _, add in ipairs(adds) do
  for n = 1, add.count do
    redis.call('XADD', add.key, 'MAXLEN', most, (add.number + n) .. '-0', 'e', ARGV[add.first + n - 1])
  end
  redis.call('PEXPIRE', add.key, ttl_ms)
  redis.call('HSET', q.numbers, add.id, (add.number + add.count) .. ' ' .. add.mark)
  if add.watch == WATCHES_EVENTS then
    publish(q, add.id)
  end
end
return table.concat(reply)
