-- unpark: jobs set aside because a worker didn't know their name go back to the front, now that one does; those whose
-- name no worker has known for the grace time go to the dead letter queue.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 grace in ms   3 how many at most a name, then the names that the caller knows
-- reply  {unparked, dead}
-- cost   O(1) a job unparked, O(log n) a dead one
--- @include queue
--- @include clock
--- @include bell
--- @include header
--- @include tries
--- @include ending
local q = open_queue(1, ARGV[1])
local grace_ms, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local known = {}
for i = 4, #ARGV do
  known[ARGV[i]] = true
end
local parked = redis.call('HGETALL', q.parked)
if #parked == 0 then
  return {0, 0}
end
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
local moves = {}
for i = 1, #parked, 2 do
  local name, key = parked[i], q.base .. 'parked:' .. parked[i]
  if known[name] or tonumber(parked[i + 1]) + grace_ms <= now then
    local move = {name = name, key = key, ids = redis.call('LRANGE', key, 0, most - 1), length = redis.call('LLEN', key)}
    move.records, move.tries, move.skips, move.awaited = {}, {}, {}, {}
    for n, id in ipairs(move.ids) do
      move.records[n] = redis.call('GET', job_key(q, id))
      if not known[name] then
        move.tries[n] = redis.call('HGET', q.tries, id)
      end
      move.skips[n] = tonumber(redis.call('HGET', q.gone, gone_field('parked', id)) or 0)
    end
    move.awaited = awaited_ids(q, move.ids)
    moves[#moves + 1] = move
  end
end

local unparked, dead = 0, 0
for _, move in ipairs(moves) do
  redis.call('LTRIM', move.key, #move.ids, -1)
  if move.length <= #move.ids then
    redis.call('HDEL', q.parked, move.name)
  end
  local skipped, kept = {}, {}
  for n, id in ipairs(move.ids) do
    if move.skips[n] > (skipped[id] or 0) then
      skipped[id] = (skipped[id] or 0) + 1
      forget_gone(q, 'parked', id)
    elseif move.records[n] then
      kept[#kept + 1] = n
    end
  end
  for k = #kept, 1, -1 do
    local n = kept[k]
    local id, record = move.ids[n], move.records[n]
    mark(job_key(q, id), '-')
    if known[move.name] then
      redis.call('LPUSH', q.ready[priority_of(record) + 1], id)
      unparked = unparked + 1
    else
      local failures, deaths, errors = read_tries(move.tries[n])
      local message = 'no worker has known the job name ' .. move.name .. ' for ' .. grace_ms / 1000 .. ' s'
      errors = add_error(errors, 'UnknownJobName', message, failures + deaths + 1, now)
      redis.call('ZADD', q.dead, now, id)
      redis.call('HSET', q.tries, id, write_tries(failures, deaths, errors))
      add_history(q, move.name, {cmsgpack.pack({id, 'failed', failures + deaths + 1, now, 0, 'UnknownJobName: ' .. message})})
      dead = dead + 1
    end
  end
  if not known[move.name] then
    tell_waiters(q, move.awaited)
  end
end
if unparked > 0 then
  ring(q)
end
if dead > 0 then
  count(q, now, {failed = dead})
end
return {unparked, dead}
