local function records_of(q, ids)
  local keys = {}
  for n, id in ipairs(ids) do
    keys[n] = job_key(q, id)
  end
  return redis.call('MGET', unpack(keys))
end
