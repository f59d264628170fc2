-- The values of `fields` of a hash, false where there is none.
local function values_of(key, fields)
  return #fields > 0 and redis.call('HMGET', key, unpack(fields)) or {}
end
