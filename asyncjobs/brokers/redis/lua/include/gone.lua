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

local function add_gone(q, where, id)
  redis.call('HINCRBY', q.gone, gone_field(where, id), 1)
  redis.call('HINCRBY', q.cfg, gone_total(where), 1)
end

local function forget_gone(q, where, id)
  if redis.call('HINCRBY', q.gone, gone_field(where, id), -1) <= 0 then
    redis.call('HDEL', q.gone, gone_field(where, id))
  end
  redis.call('HINCRBY', q.cfg, gone_total(where), -1)
end
