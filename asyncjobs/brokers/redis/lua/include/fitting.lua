-- The bytes of a reply, of which `most_bytes` is the bound.
--- @include records
local bytes_left = most_bytes

-- Whether a record fits into what is left of the bytes, of which it takes its own; the first of a reply always does.
local function fits(record)
  local is_first = bytes_left == most_bytes
  bytes_left = bytes_left - #record
  return is_first or bytes_left >= 0
end

-- The records of the first jobs, as many as fit; false where there is none.
local function read_fitting(q, ids)
  local records, STEP = {}, 32
  for first = 1, #ids, STEP do
    local keys = record_keys(q, {unpack(ids, first, math.min(first + STEP - 1, #ids))})
    for _, record in ipairs(redis.call('MGET', unpack(keys))) do
      if record and not fits(record) then
        return records
      end
      records[#records + 1] = record
    end
  end
  return records
end
