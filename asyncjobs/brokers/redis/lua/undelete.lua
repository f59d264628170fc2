-- undelete: bring back jobs that were deleted, to where they were.
--- @list ids
-- reply  a string of '1' (it is back) and '0' (it isn't kept any more, or another job has its id by now), one a job
-- cost   O(log n) a job
--- @include records
--- @include header
--- @include deleted
local records, kept, reply, back, seen = heads_of(q, ids), values_of(q.deletions, ids), {}, {}, {}
local headings = redis.pcall('HKEYS', groups_key(q, 'headings'))
local is_group = {}
for _, which in ipairs(headings.err and {} or headings) do
  is_group[which] = true
end
for n, id in ipairs(ids) do
  local died, group, number, tries = string.match(kept[n] or '', '^(%d*)|(%w*)|([^|]*)|(.*)$')
  local head = died and not records[n] and redis.call('GETRANGE', deleted_job_key(q, id), 0, MAX_HEADER - 1) or ''
  reply[n] = '0'
  if head ~= '' and not seen[id] then
    seen[id] = true
    reply[n] = '1'
    back[#back + 1] = {id = id, died = died, group = group, number = number, tries = tries, tenant = tenant_in(head)}
  end
end
redis.call('ZCARD', q.dead)
redis.call('HLEN', q.tries)
for _, job in ipairs(back) do
  local id = job.id
  redis.call('ZREM', q.deleted, id)
  redis.call('HDEL', q.deletions, id)
  redis.call('RENAME', deleted_job_key(q, id), job_key(q, id))
  if job.died ~= '' then
    redis.call('PERSIST', job_key(q, id))
    lay(q, job.died, id, job.tenant)
    if job.tries ~= '' then
      redis.call('HSET', q.tries, id, job.tries)
    end
    if job.number ~= '' then
      redis.pcall('HSET', q.numbers, id, job.number)
    end
    if is_group[job.group] then
      join_group(q, job.group, {job.died, id})
    end
  end
end
return table.concat(reply)
