-- page: some of the jobs in one place, all or those of one tenant.
--- @args place, after, limit: int, tenant, most_bytes: int, until_ms: int
-- place   'ready', 'scheduled', 'running', 'parked' or 'dead'    tenant  '' for all
-- after   `next` of the page before, '' for the first
--- @reply next, now_ms, jobs
-- most_bytes  how many bytes the records and their tries may have together, unless there is only one
-- until_ms    where it begins among the dead: with those that died before; 0 for the latest
-- next    the cursor of the next page, '' if there is none
-- now_ms  the time, of running jobs, else 0
-- jobs    {id, record, tries, due time, time of death or run, …}, in the order of the place; entries that no longer
--         count, or are another tenant's, are left out
-- cost    O(log n + limit), of running jobs O(n log n) in their number; for a list whose beginning has changed since
--         the last page, O(n) in its pages so far, and 10,000 entries more; so too for each job moved out of a list
--- @include clock
--- @include records
--- @include entries
--- @include fitting

local has_more = take_entries()
local records, tries = read_fitting(q, ids)
local jobs = {}
for n, record in ipairs(records) do
  local id, stand = ids[n], stands[n]
  local is_here = record and (not stand or counts_in(stand.list, stand.position, id, record))
  if is_here and (tenant == '' or tenant_in(record) == tenant) then
    jobs[#jobs + 1] = id
    jobs[#jobs + 1] = record
    jobs[#jobs + 1] = tries[n] or ''
    jobs[#jobs + 1] = details[n]
  end
end
return {(has_more or #records < #ids) and cursors[#records] or '', place == 'running' and now_ms(q) or 0, jobs}
