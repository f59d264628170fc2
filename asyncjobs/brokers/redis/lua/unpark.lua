-- unpark: jobs set aside because a worker didn't know their name, or because that or their tenant was suspended, go back
-- to the front once neither holds; those whose name no worker has known for the grace time go to the dead letter queue.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base   2 grace in ms   3 how many at most a list, then the names that the caller knows
-- reply  {unparked, dead}
-- cost   O(1) a job unparked, O(log n) a dead one
--- @include queue
--- @include clock
--- @include ready
--- @include ending
--- @include waiters
--- @include suspended
local q = open_queue(1, ARGV[1])
local grace_ms, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local known = {}
for i = 4, #ARGV do
  known[ARGV[i]] = true
end
local parked, labels, since = redis.call('HGETALL', q.parked), {}, {}
if #parked == 0 then
  return {0, 0}
end
for i = 1, #parked, 2 do
  labels[#labels + 1] = parked[i]
  since[parked[i]] = tonumber(parked[i + 1])
end
table.sort(labels)
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'suspended')
local now, suspended = now_ms(cfg[1]), read_suspended(cfg[2])
local moves = {}
for _, label in ipairs(labels) do
  local key = q.base .. 'parked:' .. label
  local revives, dies
  if string.sub(label, 1, 1) == ' ' then
    revives = not suspended['t' .. string.sub(label, 2)]
  elseif not suspended['n' .. label] then
    revives = known[label]
    dies = not revives and since[label] + grace_ms <= now
  end
  if revives or dies then
    local move = {label = label, key = key, revives = revives}
    move.ids, move.length = redis.call('LRANGE', key, 0, most - 1), redis.call('LLEN', key)
    move.records, move.tries, move.skips = {}, {}, {}
    for n, id in ipairs(move.ids) do
      move.records[n] = redis.call('GET', job_key(q, id))
      if dies then
        move.tries[n] = redis.call('HGET', q.tries, id)
      end
      move.skips[n] = tonumber(redis.call('HGET', q.gone, gone_field(label, id)) or 0)
    end
    move.awaited = awaited_ids(q, move.ids)
    moves[#moves + 1] = move
  end
end

local unparked, dead, waiting = 0, 0, {}
local figures = new_figures()
for _, move in ipairs(moves) do
  redis.call('LTRIM', move.key, #move.ids, -1)
  if move.length <= #move.ids then
    redis.call('HDEL', q.parked, move.label)
  end
  local skipped = {}
  for n, id in ipairs(move.ids) do
    local record = move.records[n]
    if move.skips[n] > (skipped[id] or 0) then
      skipped[id] = (skipped[id] or 0) + 1
      forget_gone(q, move.label, id)
    elseif record then
      mark(job_key(q, id), '-')
      if move.revives then
        line_up(waiting, priority_of(record), id)
        unparked = unparked + 1
      else
        local failures, deaths, errors = read_tries(move.tries[n])
        local job = {id = id, record = record, failures = failures, deaths = deaths, errors = errors}
        local message = 'no worker has known the job name ' .. move.label .. ' for ' .. grace_ms / 1000 .. ' s'
        end_dead(q, figures, job, failures + deaths + 1, now, 'UnknownJobName', message)
        dead = dead + 1
      end
    end
  end
  if not move.revives then
    tell_waiters(q, move.awaited)
  end
end
make_ready_again(q, waiting)
write_figures(q, figures, now)
return {unparked, dead}
