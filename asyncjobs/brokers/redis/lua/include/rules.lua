-- The rules of a queue: what its program declares (`rules_declared` in cfg, as of declare.lua), and what was set by
-- hand (the hash `flow:limits`: rule or gate -> 'limit by'). What holds is made of both, for claims to read: in cfg,
-- `rules` packs rule -> limit, `own` says whether a gate has numbers of its own, `by_time` if turns go by time, and
-- `weighted` whether a group has a weight; the hash `flow:weights` has the weights. A limit is as in include/limit.lua.
--- @include parts

local function set_or_remove(q, field, value)
  if value == '' then
    redis.call('HDEL', q.cfg, field)
  else
    redis.call('HSET', q.cfg, field, value)
  end
end

-- What was set by hand goes before what is declared.
local function set_queue_limit(q, set, declared)
  local limit = set ~= '' and set or declared
  set_or_remove(q, 'limit', limit ~= NO_LIMIT and limit or '')
end

local function read_declared(packed)
  local ok, declared = pcall(cmsgpack.unpack, packed)
  if packed == '' or not ok or type(declared) ~= 'table' then
    return {}, {}, false
  end
  return declared[1] or {}, declared[2] or {}, declared[3] or false
end

-- By whom a limit was set by hand, and the limit; nil for what is none.
local function read_set(stored)
  local numbers, by = string.match(stored or '', '^(%d+ %d+ %d+ %d+) (.*)$')
  return numbers, by
end

-- What is to hold: rule -> limit, the weights {group, weight, …}, whether turns go by time, and whether gates have
-- numbers of their own; with `changed_gate`, that rule or gate has `limit` set by hand from now on, nil for none.
local function rules_after(q, packed, changed_gate, limit)
  local rules, groups, by_time = read_declared(packed)
  local set, own, weights = redis.call('HGETALL', flow_key(q, 'limits')), false, {}
  local function hold(gate, numbers)
    if string.find(gate, '=', 1, true) then
      own = true
    elseif numbers then
      rules[gate] = numbers
    end
  end
  for n = 1, #set, 2 do
    if set[n] ~= changed_gate then
      hold(set[n], (read_set(set[n + 1])))
    end
  end
  if limit then
    hold(changed_gate, limit)
  end
  for gate, numbers in pairs(rules) do
    if numbers == NO_LIMIT then
      rules[gate] = nil
    end
  end
  for group, weight in pairs(groups) do
    weights[#weights + 1], weights[#weights + 2] = group, weight
  end
  return {rules = rules, weights = weights, weights_by = groups, by_time = by_time, own = own}
end

local function write_rules(q, held)
  set_or_remove(q, 'rules', next(held.rules) and cmsgpack.pack(held.rules) or '')
  set_or_remove(q, 'own', held.own and '1' or '')
  set_or_remove(q, 'by_time', held.by_time and '1' or '')
  set_or_remove(q, 'weighted', held.weights[1] and '1' or '')
  redis.call('DEL', flow_key(q, 'weights'))
  for first = 1, #held.weights, PART do
    local last = math.min(first + PART - 1, #held.weights)
    redis.call('HSET', flow_key(q, 'weights'), unpack(held.weights, first, last))
  end
end
