-- scan: the jobs in one place that have a name, a tenant or a text, among the next entries of the place.
--- @args place, after, limit: int, most: int, job_name, tenant, most_bytes: int
--- @list needles
-- place, after, tenant, most_bytes  as of page
-- limit    how many entries to look at, most  with how many jobs to end, job_name  '' for all
-- needles  texts of which the id, the record or the tries must have one; none for all jobs
--- @reply next, now_ms, looked, jobs
-- looked   at how many entries it has looked; the others are as of page
-- cost     as of page, and O(bytes) of the records that are read, MAX_READ at most and one more
--- @include clock
--- @include records
--- @include plain
--- @include fitting
local until_ms = 0
--- @include entries
local MAX_READ, MAX_STEP, PORTION = 4194304, 64, 131072

local function has_text(id, record, tries)
  for _, needle in ipairs(needles) do
    if string.find(record, needle, 1, true) or string.find(id, needle, 1, true)
      or (tries and string.find(tries, needle, 1, true)) then
      return true
    end
  end
  return needles_rows == 0
end

local function passes(id, record, tries)
  return (job_name == '' or (is_readable(record) and name_of(record) == job_name))
    and (tenant == '' or tenant_in(record) == tenant) and has_text(id, record, tries)
end

local jobs, found, looked, bytes_read = {}, 0, 0, 0

-- Looks at the entries up to `last`; returns false if what is found is enough, or fits into no reply.
local function look(last, has_tries)
  local part = {unpack(ids, looked + 1, last)}
  local some = has_tries and redis.call('HMGET', q.tries, unpack(part)) or {}
  for n, record in ipairs(redis.call('MGET', unpack(record_keys(q, part)))) do
    local id, tries, stand = part[n], some[n], stands[looked + 1]
    bytes_read = bytes_read + (record and #record or 0) + (tries and #tries or 0)
    if record and passes(id, record, tries)
      and (not stand or counts_in(stand.list, stand.position, id, record)) then
      if not fits(record, tries) then
        return false
      end
      found = found + 1
      for at, part_of_job in ipairs({id, record, tries or '', details[looked + 1]}) do
        jobs[4 * (found - 1) + at] = part_of_job
      end
    end
    looked = looked + 1
    if found == most then
      return false
    end
  end
  return true
end

local has_more = take_entries()
local has_tries, step = has_more_than_ready(q), 8
while looked < #ids and bytes_read < MAX_READ and look(math.min(looked + step, #ids), has_tries) do
  -- Where records are large, few are read at once.
  step = math.max(1, math.min(MAX_STEP, math.floor(PORTION * looked / math.max(1, bytes_read))))
end
return {
  (has_more or looked < #ids) and cursors[looked] or '', place == 'running' and now_ms(q) or 0, looked, jobs,
}
