-- The ends that come without a run. A job is {id, record, failures, deaths, errors, started_at, worker}; `attempt` is
-- the one it ended at, `started_at` when that began, and `worker` where, both nil if it didn't.
--- @include header
--- @include tries
--- @include dead
--- @include figures

local function note_end(figures, job, state, attempt, now, why)
  local name = is_readable(job.record) and name_of(job.record) or ''
  local tenant = tenant_in(job.record)
  -- Only a tenant's history needs the name.
  local entry = {job.id, state, attempt, now, 0, why, tenant ~= '' and name or nil}
  enter(figures, name, tenant, cmsgpack.pack(entry))
  add(counts_of(figures, tenant), state, 1)
end

-- Writes the final record; forget_live is for the caller, for many at once.
local function end_cancelled(q, figures, job, attempt, now, reason, keep_ms)
  set_ended(job_key(q, job.id), cancelled_record(job.record, reason, now), keep_ms)
  note_end(figures, job, 'cancelled', attempt, now, reason)
end

-- The group of jobs that a script buries, as fixed_group of core/grouping.py makes it.
local function fixed_group(name, kind, message)
  local key = table.concat({name, kind, message, ''}, '\0')
  return string.sub(redis.sha1hex(key), 1, GROUP_ID_SIZE) .. cmsgpack.pack({name, kind, message, ''})
end

-- `group` says in words why jobs like this one are dead.
local function end_dead(q, figures, job, attempt, now, kind, message, group)
  local errors = add_error(job.errors, kind, message, attempt, now, job.started_at, job.worker)
  local name = is_readable(job.record) and name_of(job.record) or ''
  bury(q, now, job.id, tenant_in(job.record), fixed_group(name, kind, group))
  redis.call('HSET', q.tries, job.id, write_tries(job.failures, job.deaths, errors))
  note_end(figures, job, 'failed', attempt, now, kind .. ': ' .. message)
end
