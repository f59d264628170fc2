-- Hashes that hold something of few jobs: mostly they are not there at all, and asking for that costs less than naming
-- each job.
--- @include parts

-- The values of `fields`, false or nil where there is none.
local function values_of(key, fields)
  local values = {}
  if #fields == 0 or redis.call('EXISTS', key) == 0 then
    return values
  elseif #fields <= PART then
    return redis.call('HMGET', key, unpack(fields))
  end
  for first = 1, #fields, PART do
    for _, value in ipairs(redis.call('HMGET', key, unpack(fields, first, math.min(first + PART - 1, #fields)))) do
      values[#values + 1] = value
    end
  end
  return values
end

local function remove_fields(key, fields)
  if #fields > 0 and redis.call('EXISTS', key) == 1 then
    redis.pcall('HDEL', key, unpack(fields))
  end
end
