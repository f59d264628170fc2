--- @include parts
--- @include header

local function record_keys(q, ids)
  local keys = {}
  for n, id in ipairs(ids) do
    keys[n] = job_key(q, id)
  end
  return keys
end

-- The records at `keys`, false where there is none.
local function read_records(keys)
  if #keys > 0 and #keys <= PART then
    return redis.call('MGET', unpack(keys))
  end
  local records = {}
  for first = 1, #keys, PART do
    for _, record in ipairs(redis.call('MGET', unpack(keys, first, math.min(first + PART - 1, #keys)))) do
      records[#records + 1] = record
    end
  end
  return records
end

local function records_of(q, ids)
  return read_records(record_keys(q, ids))
end

-- The beginnings of records, of which is_readable and what stands in a header can be told; false where there is none.
local function heads_of(q, ids)
  local heads = {}
  for n, id in ipairs(ids) do
    local head = redis.call('GETRANGE', job_key(q, id), 0, MAX_HEADER - 1)
    heads[n] = head ~= '' and head
  end
  return heads
end
