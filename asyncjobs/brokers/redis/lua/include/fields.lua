-- Hashes that hold something of few jobs: mostly they are not there at all, and asking for that costs less than naming
-- each job.
--- @include parts
local FEW, SHORT = 8, 512

-- The values of `fields`, false or nil where there is none.
local function values_of(key, fields)
  local values, count = {}, #fields > 0 and redis.call('HLEN', key) or 0
  if count == 0 then
    return values
  elseif #fields > FEW and count <= SHORT and count < 2 * #fields then
    -- The server looks through a short hash for each field: to read all of it takes less.
    local all, by_field = redis.call('HGETALL', key), {}
    for n = 1, #all, 2 do
      by_field[all[n]] = all[n + 1]
    end
    for n = 1, #fields do
      values[n] = by_field[fields[n]] or false
    end
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
