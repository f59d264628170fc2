-- The one way for a new job into the queue; one whose id is known already is left as it is.
--- @include header
--- @include ready
--- @include due

-- `jobs`: {id, when, record, …}, where `when` is '' for now, or what time_given reads. It reads before it writes.
-- reply  '1' (new) or '0' (known), one a job
local function admit(q, now, jobs)
  local keys = {}
  for i = 1, #jobs, 3 do
    keys[#keys + 1] = job_key(q, jobs[i])
  end
  if #keys == 0 then
    return {}
  end
  local known = redis.call('MGET', unpack(keys))
  local earliest = earliest_due(q)

  local records, waiting, dues, seen, reply = {}, {}, {}, {}, {}
  for n, key in ipairs(keys) do
    local id, when, record = jobs[n * 3 - 2], jobs[n * 3 - 1], jobs[n * 3]
    if known[n] or seen[id] then
      reply[n] = '0'
    else
      reply[n] = '1'
      seen[id] = true
      records[#records + 1] = key
      records[#records + 1] = record
      local due = when == '' and now or time_given(when, now)
      local priority = priority_of(record)
      if due > now then
        dues[#dues + 1] = due
        dues[#dues + 1] = priority .. ':' .. id
      else
        line_up(waiting, priority, id)
      end
    end
  end

  if #records > 0 then
    redis.call('MSET', unpack(records))
    make_ready(q, waiting)
    make_due(q, dues, earliest)
  end
  return reply
end
