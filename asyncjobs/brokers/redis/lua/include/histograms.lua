-- Histograms as they are stored: packed lists of bucket, count, … A list that can't be read counts as empty.

local function unpacked(packed)
  local ok, values = pcall(cmsgpack.unpack, packed)
  return ok and type(values) == 'table' and values or {}
end

-- Adds a list to a histogram, a table.
local function add_buckets(total, list)
  if type(list) == 'table' then
    for at = 1, #list - 1, 2 do
      local bucket = whole_in(list[at])
      total[bucket] = (total[bucket] or 0) + whole_in(list[at + 1])
    end
  end
end

-- As a list, since Lua packs a table whose keys happen to be 1, 2, … as one.
local function listed(histogram)
  local list = {}
  for bucket, count in pairs(histogram) do
    list[#list + 1] = bucket
    list[#list + 1] = count
  end
  return list
end

-- Stores the histograms of how long attempts ran and jobs waited, of one minute or hour.
local function set_histograms(key, runs, waits)
  redis.pcall('HSET', key, 'runs', cmsgpack.pack(listed(runs)), 'waits', cmsgpack.pack(listed(waits)))
end
