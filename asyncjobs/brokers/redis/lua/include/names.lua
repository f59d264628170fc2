-- The job names that a worker takes. Few stand in `known`. Many are kept in a set, whose key is `kept_names`:
-- they stand in `known` only where a call before was answered with nil, since there was no such set.
--- @include parts
local NAMES_KEEP_MS = 24 * 3600 * 1000

local is_known = {}
for _, name in ipairs(known) do
  is_known[name] = true
end
if kept_names ~= '' then
  if known_rows > 0 then
    -- First of all a write that only shrinks, as in begin_writes.
    redis.call('DEL', kept_names)
    for first = 1, #known, PART do
      redis.call('SADD', kept_names, unpack(known, first, math.min(first + PART - 1, #known)))
    end
    redis.call('PEXPIRE', kept_names, NAMES_KEEP_MS)
  elseif redis.call('EXISTS', kept_names) == 0 then
    return false
  else
    setmetatable(is_known, {__index = function(names, name)
      names[name] = redis.call('SISMEMBER', kept_names, name) == 1
      return names[name]
    end})
  end
end
