-- Taking an id out of the middle of a long list is slow, so it stays there and is counted as gone: a field of the hash
-- `gone` names the id and the list, its value says how many of its entries, the first ones, are to be passed over. A
-- value below 0 says how many behind the first, which counts: the job was put back in front of them.
-- `where` is a priority, a line (line_where) or the label of a parked list; how many are gone of each priority, and of
-- all that are parked, stands in cfg, for the sizes; what is gone of a line isn't counted in `lined`.

-- No id has a space in it, so no two pairs give the same field.
local function gone_field(where, id)
  return id .. ' ' .. where
end

-- `field`: of the line in `flow:lines`.
local function line_where(field)
  return 'line:' .. field
end

local function is_line(where)
  return type(where) == 'string' and string.sub(where, 1, 5) == 'line:'
end

-- Notes that a job has left a line, if `where` is one.
local function count_left(q, where)
  if is_line(where) then
    redis.pcall('HINCRBY', q.cfg, 'lined:' .. string.sub(where, 6, 6), -1)
  end
end

local function gone_total(where)
  return 'gone:' .. (type(where) == 'number' and where or 'parked')
end

-- To be called before the script writes.
local function check_gone(q)
  redis.call('HLEN', q.gone)
end

-- Whether the entry of an id in its list, counted from 1, is to be passed over; `value` is that of the field.
local function is_gone(value, number)
  if value < 0 then
    return number > 1 and number <= 1 - value
  end
  return number <= value
end

-- A field that holds no whole number counts as 0.
local function read_gone(q, where, id)
  local value = redis.pcall('HGET', q.gone, gone_field(where, id))
  return type(value) == 'string' and whole_in(value) or 0
end

-- Sets a field, of which `passed` entries were passed over.
local function set_gone(q, where, id, value, passed)
  if value == 0 then
    redis.pcall('HDEL', q.gone, gone_field(where, id))
  else
    redis.pcall('HSET', q.gone, gone_field(where, id), value)
  end
  if not is_line(where) then
    redis.pcall('HINCRBY', q.cfg, gone_total(where), -passed)
  end
end

local function add_gone(q, where, id)
  set_gone(q, where, id, math.abs(read_gone(q, where, id)) + 1, -1)
end

local function forget_gone(q, where, id)
  set_gone(q, where, id, math.max(0, read_gone(q, where, id) - 1), 1)
end

-- Jobs were put back in front: their entries that are gone stand behind the first one now.
local function put_before_gone(q, where, ids)
  if redis.call('EXISTS', q.gone) == 0 then
    return
  end
  for _, id in ipairs(ids) do
    local value = read_gone(q, where, id)
    if value > 0 then
      set_gone(q, where, id, -value, 0)
    end
  end
end
