-- retry: jobs of the dead letter queue become ready again, with all their retries before them and their errors kept.
--- @list ids
-- reply  a string of '1' (ready) and '0' (it isn't in the dead letter queue), one a job
-- cost   O(log n) a job
--- @include records
--- @include fields
--- @include header
--- @include ready
--- @include tries
--- @include dead
local records = heads_of(q, ids)
local died = redis.call('ZMSCORE', q.dead, unpack(ids))
local tries = values_of(q.tries, ids)

local reply, seen, retried, tenants, fresh_tries, waiting = {}, {}, {}, {}, {}, {}
for i, id in ipairs(ids) do
  reply[i] = '0'
  if records[i] and died[i] and not seen[id] then
    seen[id] = true
    reply[i] = '1'
    retried[#retried + 1] = id
    tenants[#tenants + 1] = tenant_in(records[i])
    local _, _, errors = read_tries(tries[i])
    fresh_tries[#fresh_tries + 1] = id
    fresh_tries[#fresh_tries + 1] = write_tries(0, 0, errors)
    line_up(waiting, priority_of(records[i]), id)
  end
end
if #retried > 0 then
  check_ready(q, waiting)
  redis.call('HLEN', q.tries)
  exhume(q, retried, tenants)
  redis.call('HSET', q.tries, unpack(fresh_tries))
  make_ready(q, waiting)
end
return table.concat(reply)
