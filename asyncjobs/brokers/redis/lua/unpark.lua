-- unpark: jobs set aside because a worker didn't know their name or couldn't read them, or because their name or
-- tenant was held, go back to the front once none of that holds; those whose name no worker has known for the grace
-- time go to the dead letter queue.
--- @args grace_ms: ms, limit: int
--- @list known
-- limit  how many at most a list    known  the job names that the caller knows
-- Jobs go to the front, so those that were parked last go first: those of the next call stand before them then.
--- @reply unparked, dead, more
-- more   1 if a list had more jobs than it was asked for
-- cost   O(1) a job unparked, O(log n) a dead one
--- @include clock
--- @include checks
--- @include ending
--- @include waiters
--- @include unparking
local is_known = {}
for _, name in ipairs(known) do
  is_known[name] = true
end

-- Whether the name of the jobs in this list has been unknown for too long.
local function is_over(label, since, held, now)
  return string.find(label, '^' .. BY_NAME) ~= nil and not held[label] and since + grace_ms <= now
end

local function bury_unknown(q, figures, id, record, tries, now)
  local job = {id = id, record = record}
  job.failures, job.deaths, job.errors = read_tries(tries)
  local message = string.format(UNKNOWN_NAME, is_readable(record) and name_of(record) or '', grace_ms / 1000)
  end_dead(q, figures, job, job.failures + job.deaths + 1, now, 'UnknownJobName', message)
end

local parked = redis.call('HGETALL', q.parked)
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held')
local now, held = shifted_now(cfg[1]), read_held(cfg[2]) or {}
local startable, unknown = {}, {}
for i = 1, #parked, 2 do
  local label = parked[i]
  if is_startable(label, held, is_known) then
    startable[#startable + 1] = read_list(q, label, limit, true)
  elseif is_over(label, whole_in(parked[i + 1]), held, now) then
    local list = read_list(q, label, limit, false)
    list.tries, list.awaited = values_of(q.tries, list.ids), awaited_ids(q, list.ids)
    unknown[#unknown + 1] = list
  end
end

check_places(q)
local unparked, dead, more, waiting, figures = 0, 0, 0, {}, new_figures()
for _, list in ipairs(startable) do
  more = list.length > #list.ids and 1 or more
  take_out(q, list, function(id, record)
    line_up(waiting, priority_of(record), id)
    unparked = unparked + 1
  end)
end
for _, list in ipairs(unknown) do
  more = list.length > #list.ids and 1 or more
  take_out(q, list, function(id, record, n)
    bury_unknown(q, figures, id, record, list.tries[n], now)
    dead = dead + 1
  end)
  tell_waiters(q, list.awaited)
end
make_ready_again(q, waiting)
write_figures(q, figures, now)
return {unparked, dead, more}
