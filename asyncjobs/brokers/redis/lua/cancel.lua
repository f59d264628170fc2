-- cancel: waiting jobs end here and now; running ones are marked, and their workers learn of it by extend.
--- @args reason, keep_ms: ms
--- @list ids
-- keep_ms  how long the records of those that end are kept
-- reply    'unknown', 'ended', 'failed', 'running' (marked) or 'cancelled', one a job
-- cost     O(log n) a job
--- @include clock
--- @include records
--- @include fields
--- @include place
--- @include gone
--- @include parking
--- @include ending
--- @include forget
--- @include waiters
local records, runs = records_of(q, ids), values_of(q.fences, ids)

local reply, ends, ended, marks, seen = {}, {}, {}, {}, {}
for i, id in ipairs(ids) do
  local record = records[i]
  if not record then
    reply[i] = 'unknown'
  elseif not (is_readable(record) or is_newer(record)) then
    reply[i] = 'failed'
  elseif is_ended(record) or seen[id] then
    reply[i] = 'ended'
  else
    local place, detail = place_of(q, id, record, runs[i] or false)
    local field = priority_of(record) .. ':' .. id
    if place == 'failed' then
      reply[i] = 'failed'
    elseif place == 'running' then
      reply[i] = 'running'
      marks[#marks + 1] = string.match(detail, '^%d+') .. ':' .. field
      marks[#marks + 1] = reason
    else
      reply[i] = 'cancelled'
      seen[id] = true
      ended[#ended + 1] = id
      ends[#ends + 1] = {id = id, record = record, scheduled = place == 'scheduled' and field}
    end
  end
end
local tries = values_of(q.tries, ended)
local awaited = awaited_ids(q, ended)
local now = now_ms(q)

if #marks == 0 and #ends == 0 then
  return reply
end
redis.call('HLEN', q.cancels)
check_gone(q)
begin_writes(q)
if #marks > 0 then
  redis.call('HSET', q.cancels, unpack(marks))
end
local figures = new_figures()
for n, job in ipairs(ends) do
  if job.scheduled then
    redis.call('ZREM', q.scheduled, job.scheduled)
  else
    add_gone(q, list_of(job.record), job.id)
  end
  local failures, deaths = read_tries(tries[n])
  end_cancelled(q, figures, job, failures + deaths + 1, now, reason, keep_ms)
end
forget_live(q, ended)
write_figures(q, figures, now)
tell_waiters(q, awaited)
return reply
