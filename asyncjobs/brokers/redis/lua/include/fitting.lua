-- The bytes of a reply, of which `most_bytes` is the bound.
--- @include records
--- @include plain
local bytes_left = most_bytes

-- Whether a record and its tries fit into what is left of the bytes, of which they take their own; the first of a reply
-- always do.
local function fits(record, tries)
  local is_first = bytes_left == most_bytes
  bytes_left = bytes_left - #record - (tries and #tries or 0)
  return is_first or bytes_left >= 0
end

-- The records and the tries of the first jobs, as many as fit; false or nil where there is none.
local function read_fitting(q, ids)
  local records, tries, STEP = {}, {}, 32
  local has_tries = has_more_than_ready(q)
  for first = 1, #ids, STEP do
    local part = {unpack(ids, first, math.min(first + STEP - 1, #ids))}
    local some = has_tries and redis.call('HMGET', q.tries, unpack(part)) or {}
    for n, record in ipairs(redis.call('MGET', unpack(record_keys(q, part)))) do
      if record and not fits(record, some[n]) then
        return records, tries
      end
      records[#records + 1] = record
      tries[#records] = some[n]
    end
  end
  return records, tries
end
