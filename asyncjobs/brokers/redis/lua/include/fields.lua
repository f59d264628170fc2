--- @include parts

-- The values of `fields` of a hash, false where there is none.
local function values_of(key, fields)
  if #fields > 0 and #fields <= PART then
    return redis.call('HMGET', key, unpack(fields))
  end
  local values = {}
  for first = 1, #fields, PART do
    for _, value in ipairs(redis.call('HMGET', key, unpack(fields, first, math.min(first + PART - 1, #fields)))) do
      values[#values + 1] = value
    end
  end
  return values
end
