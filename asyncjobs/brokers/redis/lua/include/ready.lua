-- The one way into the ready lists. `waiting` holds ids by priority, in the order in which they are to start.
--- @include bell
--- @include gone
--- @include parts

-- Notes that the job is to wait, behind those noted before.
local function line_up(waiting, priority, id)
  local ids = waiting[priority]
  if ids then
    ids[#ids + 1] = id
  else
    waiting[priority] = {id}
  end
end

-- Looks at the lists of these priorities, and at the bell; to be called before the script writes.
local function check_ready(q, by_priority)
  for priority in pairs(by_priority) do
    redis.call('LLEN', q.ready[priority])
  end
  is_rung(q)
end

local function push(q, command, priority, ids)
  for first = 1, #ids, PART do
    redis.call(command, q.ready[priority], unpack(ids, first, math.min(first + PART - 1, #ids)))
  end
end

-- Puts jobs behind all others of their priority; ringing is for the caller.
local function push_behind(q, waiting)
  for priority, ids in pairs(waiting) do
    push(q, 'RPUSH', priority, ids)
  end
end

-- Makes jobs ready behind all others of their priority.
local function make_ready(q, waiting)
  if next(waiting) then
    push_behind(q, waiting)
    ring(q)
  end
end

local function reversed(ids)
  local found = {}
  for n = #ids, 1, -1 do
    found[#found + 1] = ids[n]
  end
  return found
end

-- Puts jobs in front of all others of their priority; ringing is for the caller.
local function push_before(q, waiting)
  for priority, ids in pairs(waiting) do
    push(q, 'LPUSH', priority, reversed(ids))
    put_before_gone(q, priority, ids)
  end
end

-- Makes jobs ready that have waited their turn before, in front of all others of their priority.
local function make_ready_again(q, waiting)
  if next(waiting) then
    push_before(q, waiting)
    ring(q)
  end
end
