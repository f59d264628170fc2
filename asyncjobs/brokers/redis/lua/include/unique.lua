-- Unique keys. The hash `unique` has the holder of each: 'until sent_at id'; `until` is up to when it holds the key
-- although it has completed, 0 for no longer than it lives. The key stands in the header of a job, at the end of the
-- flow key. Whether a job still holds its key is told by its record and its place alone, whenever a send meets it: so a
-- key whose job has ended, died or gone is free, whatever became of it. To take it out of the hash only saves memory.
--- @include fields
--- @include header
--- @include records
local UNIQUE_MARK = '\30'

-- The unique key of any record, '' if it has none or can't be read.
local function unique_key_of(record)
  if not is_readable(record) or string.byte(record, 5) == 0 then
    return ''
  end
  local first = 8 + string.byte(record, 4)
  local key = string.sub(record, first, first + string.byte(record, 5) - 1)
  return string.match(key, UNIQUE_MARK .. '([^' .. UNIQUE_MARK .. ']*)$') or ''
end

-- The id of a holder, until when it holds the key, and when it was sent; nil without one.
local function read_holder(stored)
  local until_ms, sent_at, id = string.match(stored or '', '^(%d+) (%d+) (.+)$')
  return id, whole_in(until_ms), whole_in(sent_at)
end

local function write_holder(id, until_ms, sent_at)
  return until_ms .. ' ' .. sent_at .. ' ' .. id
end

-- The keys of these jobs that they hold and leave now; `records` as they are once they have ended, false for none. One
-- that has completed may go on holding its key, unless `deletes`.
local function keys_left(q, ids, records, deletes)
  local keys, owners, found = {}, {}, {}
  for n, id in ipairs(ids) do
    local key = records[n] and unique_key_of(records[n]) or ''
    if key ~= '' then
      keys[#keys + 1], owners[#owners + 1] = key, n
    end
  end
  for n, stored in ipairs(values_of(q.unique, keys)) do
    local holder, until_ms = read_holder(stored)
    local owner = owners[n]
    local goes_on = until_ms > 0 and not deletes and has_completed(records[owner])
    if holder == ids[owner] and not goes_on then
      found[#found + 1] = keys[n]
    end
  end
  return found
end
