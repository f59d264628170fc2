-- The one way into the ready lists. `waiting` holds ids by priority, in the order in which they are to start.
--- @include bell

-- Notes that the job is to wait, behind those noted before.
local function line_up(waiting, priority, id)
  waiting[priority] = waiting[priority] or {}
  table.insert(waiting[priority], id)
end

local function reversed(ids)
  local found = {}
  for i = #ids, 1, -1 do
    found[#found + 1] = ids[i]
  end
  return found
end

local function push_behind(q, waiting)
  for priority, ids in pairs(waiting) do
    redis.call('RPUSH', q.ready[priority], unpack(ids))
  end
end

-- Makes jobs ready behind all others of their priority.
local function make_ready(q, waiting)
  if next(waiting) then
    push_behind(q, waiting)
    ring(q)
  end
end

-- Makes jobs ready that have waited their turn before, in front of all others of their priority.
local function make_ready_again(q, waiting)
  for priority, ids in pairs(waiting) do
    redis.call('LPUSH', q.ready[priority], unpack(reversed(ids)))
  end
  if next(waiting) then
    ring(q)
  end
end
