-- The fixed keys of one queue. Every script is given them all, in this order (keys.py), a block of FIXED a queue, so
-- that each key a script may touch by name is declared; the rest (job:<id>, parked:<name>, …) share the hash tag.
local FIXED = 16

local function open_queue(block, base)
  local at = (block - 1) * FIXED
  return {
    base = base,
    ready = {KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4]}, -- by priority, critical first
    scheduled = KEYS[at + 5],
    leased = KEYS[at + 6],
    tries = KEYS[at + 7],
    gone = KEYS[at + 8],
    dead = KEYS[at + 9],
    cfg = KEYS[at + 10],
    bell = KEYS[at + 11],
    stats = KEYS[at + 12],
    waiters = KEYS[at + 13],
    cancels = KEYS[at + 14],
    parked = KEYS[at + 15],
    numbers = KEYS[at + 16],
  }
end

local function job_key(q, id)
  return q.base .. 'job:' .. id
end

local function events_key(q, id)
  return q.base .. 'events:' .. id
end

-- Taking an id out of the middle of a long list is slow, so it stays there and is counted as gone: a field of the hash
-- `gone` names the list and the id, its value says how many of its entries, the first ones, are to be passed over.
-- `where` is a priority or the label of a parked list; how many are gone of each priority, and of all that are parked,
-- stands in cfg, for the sizes.
local function gone_field(where, id)
  return type(where) == 'number' and where .. ':' .. id or 'parked:' .. where .. ':' .. id
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
