--- @include fields

-- Forgets what is kept beside the record of a job while it lives. Its record, and its events, have an expiry by then.
local function forget_live(q, ids)
  remove_fields(q.tries, ids)
  remove_fields(q.numbers, ids)
end

-- Forgets all that is kept of jobs, so that a later one of the same id begins anew.
local function forget_all(q, ids)
  if #ids > 0 then
    forget_live(q, ids)
    local keys = {}
    for _, id in ipairs(ids) do
      keys[#keys + 1] = job_key(q, id)
      keys[#keys + 1] = events_key(q, id)
    end
    redis.call('DEL', unpack(keys))
  end
end
