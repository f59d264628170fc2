-- What a claim makes of its candidates.
--- @include header
--- @include gone

-- The entries of an id in its list, which the claim has seen up to this one.
local function entries_of(gone, where, id, skip)
  local field = gone_field(where, id)
  local entries = gone[field] or {where = where, id = id, value = whole_in(skip), seen = 0, passed = 0}
  entries.seen = entries.seen + 1
  gone[field] = entries
  return entries
end

-- What becomes of the candidates:
--   jobs      the part of the reply: id, tries, record of each leased one
--   leases    deadline, member, …    members   the same without the deadlines    fences  id, run, …
--   parked    label -> its ids, and as `kind` why
--   gone      field -> {where, id, value, seen, passed, is_first}, of an id with entries that are to be passed over
--   waiting   number of a candidate -> true, of those that must wait; what is passed over does not
--   stop      the number of the first candidate that it has not looked at, nil if it has looked at all
local function new_sorted(gone, waiting)
  return {
    jobs = {}, leases = {}, members = {}, fences = {}, parked = {}, gone = gone, waiting = waiting, stop = nil,
  }
end

-- Leases a job, and returns the member.
local function add_lease(sorted, run, id, record, stored)
  -- The priority is the record's, from which the worker reads it: in a damaged one it may be another.
  local priority = priority_of(record)
  -- Lua takes longer to write two numbers than for all the rest of this.
  run[priority] = run[priority] or run.fence .. ':' .. priority .. ':'
  local member = run[priority] .. id
  local jobs, leases, members, fences = sorted.jobs, sorted.leases, sorted.members, sorted.fences
  jobs[#jobs + 1] = id
  jobs[#jobs + 1] = stored or ''
  jobs[#jobs + 1] = record
  leases[#leases + 1] = run.deadline
  leases[#leases + 1] = member
  members[#members + 1] = member
  fences[#fences + 1] = id
  fences[#fences + 1] = run.text
  return member
end
