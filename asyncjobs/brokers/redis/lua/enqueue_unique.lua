-- enqueue_unique: accept new jobs as `enqueue` does, of which some have a unique key, and leave out those whose key
-- another job holds.
--- @each job: id, when, record, mode, within: ms, at_most: ms
--- @rare line_of, read_flow, enter_line, note_kind, read_entered, check_flow, write_entered
-- mode, within, at_most   as of include/holders.lua
--- @reply accepted, holders
-- accepted  a string of '1' (new), '0' (known) and '2' (left out), one a job    holders  the ids of those in its place
-- cost      O(1) a job, O(log n) a scheduled one
--- @include admit
--- @include holders
local ids, whens, records, rules = {}, {}, {}, {}
for n = 1, job_rows do
  --- @row job n: id, when, record, mode, within, at_most
  ids[n], whens[n], records[n] = id, when, record
  rules[n] = {mode = mode, within = within, at_most = at_most}
end
local now, has_events = read_admission(q, true)
local met = meet_holders(q, now, ids, records, whens, rules, records_of(q, ids))
local accepted, holders = admit(q, now, has_events, ids, records, whens, met.ids, met.flow), {}
write_met(q, met)
for n = 1, job_rows do
  if met.ids[n] then
    holders[#holders + 1] = met.ids[n]
  end
end
return {table.concat(accepted), holders}
