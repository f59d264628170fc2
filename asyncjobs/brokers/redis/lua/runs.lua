-- runs: what attempts came to in each of the last hours, by job name.
--- @args count: int, skip: int, one: flag, job_name
-- count  how many hours to look at, no more than are kept    skip  how many of the latest to leave out
-- one    whether only `job_name` is asked for
--- @reply now_ms, hours
-- hours  {number of the hour since 1970, {name, packed counts, …}, …}, oldest first; those without any are left out
-- cost   O(names) an hour
--- @include clock
local now = now_ms(q)
local present, kept = math.floor(now / HOUR_MS), RUNS_KEEP_MS / HOUR_MS
local latest = present - math.max(skip, 0)
local hours = {}
for hour = math.max(latest - math.min(count, kept), present - kept) + 1, latest do
  local key, fields = runs_key(q, hour), {}
  if one then
    local counts = redis.call('HGET', key, job_name)
    if counts then
      fields = {job_name, counts}
    end
  else
    fields = redis.call('HGETALL', key)
  end
  if #fields > 0 then
    hours[#hours + 1] = hour
    hours[#hours + 1] = fields
  end
end
return {now, hours}
