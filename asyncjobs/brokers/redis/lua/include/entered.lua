-- How jobs that are to start go into the ready lists and the lines; the scripts have looked at both before.
--- @include ready
--- @include flow

-- Writes the lines that jobs have entered, and rings if one of those is in turn.
local function write_entered(q, flow)
  write_flow(q, flow)
  if is_startable_in(flow) then
    ring(q)
  end
end

-- `waiting`: the jobs without a line, by priority. `flow`: nil if no job has entered a line.
local function make_startable(q, waiting, flow)
  make_ready(q, waiting)
  if flow then
    write_entered(q, flow)
  end
end
