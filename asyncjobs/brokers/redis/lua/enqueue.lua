-- enqueue: accept new jobs; one whose id is known already is left as it is.
--- @each job: id, when, record
-- when   '' now, '+ms' that long from now by the server's clock, '@ms' at that Unix time
--- @rare time_given, earliest_due, put_off, make_due
--- @rare line_of, read_flow, enter_line, note_kind, read_entered, check_flow, write_entered
-- reply  a string of '1' (new) and '0' (known), one a job
-- cost   O(1) a job, O(log n) a scheduled one
--- @include admit
local ids, whens, records, are_all_now = {}, {}, {}, true
for n = 1, job_rows do
  --- @row job n: id, when, record
  ids[n], whens[n], records[n] = id, when, record
  are_all_now = are_all_now and when == ''
end
local now, has_events = read_admission(q, not are_all_now)
return table.concat(admit(q, now, has_events, ids, records, whens))
