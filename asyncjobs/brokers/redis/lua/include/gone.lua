-- Taking an id out of the middle of a long list is slow, so it stays there and is counted as gone: a field of the hash
-- `gone` names the id and the list, its value says how many of its entries, the first ones, are to be passed over.
-- `where` is a priority or the label of a parked list; how many are gone of each priority, and of all that are parked,
-- stands in cfg, for the sizes.

-- No id has a space in it, so no two pairs give the same field.
local function gone_field(where, id)
  return id .. ' ' .. where
end

local function gone_total(where)
  return 'gone:' .. (type(where) == 'number' and where or 'parked')
end

-- Adds to a field, and returns the sum; one that holds no whole number counts as 0.
local function add_to(q, where, id, number)
  local sum = redis.pcall('HINCRBY', q.gone, gone_field(where, id), number)
  redis.pcall('HINCRBY', q.cfg, gone_total(where), number)
  return type(sum) == 'number' and sum
end

-- To be called before the script writes.
local function check_gone(q)
  redis.call('HLEN', q.gone)
end

local function add_gone(q, where, id)
  if not add_to(q, where, id, 1) then
    redis.call('HSET', q.gone, gone_field(where, id), 1)
  end
end

local function forget_gone(q, where, id)
  if (add_to(q, where, id, -1) or 0) <= 0 then
    redis.call('HDEL', q.gone, gone_field(where, id))
  end
end
