-- The jobs that ARGV names from `first` on: their ids, the keys of their records, and the records. Needs queue.lua.
local function named_jobs(q, first)
  local ids, keys = {}, {}
  for i = first, #ARGV do
    ids[#ids + 1] = ARGV[i]
    keys[#keys + 1] = job_key(q, ARGV[i])
  end
  return ids, keys, redis.call('MGET', unpack(keys))
end
