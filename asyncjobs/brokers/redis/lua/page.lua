-- page: some of the jobs in one place, all or those of one tenant, of the dead also those of one group.
--- @args place, after, limit: int, tenant, most_bytes: int, until_ms: int, group
-- place   'ready', 'scheduled', 'running', 'parked', 'dead' or 'deleted'    tenant, group  '' for all
-- after   `next` of the page before, '' for the first
--- @reply next, now_ms, jobs
-- most_bytes  how many bytes the records and their tries may have together, unless there is only one
-- until_ms    where it begins among the dead: with those that died before; 0 for the latest
-- next    the cursor of the next page, '' if there is none
-- now_ms  the time, of running jobs, else 0
-- jobs    {id, record, tries, due time, time of death or run, …}, in the order of the place; of deleted ones the
--         deletion, and what is kept of it in place of the tries; entries that no longer count, or are another
--         tenant's, are left out
-- cost    O(log n + limit), of running jobs O(n log n) in their number, of ready ones O(1) a line with a key; for a
--         list whose beginning has changed since the last page, O(n) in its pages so far, and 10,000 entries more; so
--         too for each job moved out of a list
--- @include clock
--- @include records
--- @include entries
--- @include fitting
--- @include groups

-- Returns whether there are more.
local function take_page()
  if place == 'deleted' then
    return take_set(q.deleted, 0, true)
  elseif group ~= '' and group ~= UNGROUPED then
    return take_set(group_key(q, group), 0, true)
  end
  return take_entries()
end

-- The records of the first deleted jobs, as many as fit, and what is kept of their deletion.
local function read_deleted_fitting()
  local records, kept = {}, {}
  for n, id in ipairs(ids) do
    local record = redis.call('GET', deleted_job_key(q, id))
    local some = redis.call('HGET', q.deletions, id)
    if record and not fits(record, some) then
      break
    end
    records[n], kept[n] = record, some
  end
  return records, kept
end

local has_more = take_page()
local records, tries
if place == 'deleted' then
  records, tries = read_deleted_fitting()
else
  records, tries = read_fitting(q, ids)
end
local grouped = group == UNGROUPED and #ids > 0 and groups_of(q, ids) or {}
local jobs = {}
for n, record in ipairs(records) do
  local id, stand = ids[n], stands[n]
  local is_here = record and (not stand or counts_in(stand.list, stand.position, id, record)) and not grouped[n]
  if is_here and (tenant == '' or tenant_in(record) == tenant) then
    jobs[#jobs + 1] = id
    jobs[#jobs + 1] = record
    jobs[#jobs + 1] = tries[n] or ''
    jobs[#jobs + 1] = details[n]
  end
end
return {(has_more or #records < #ids) and cursors[#records] or '', place == 'running' and now_ms(q) or 0, jobs}
