-- Leases: members `fence:priority:id` of the sorted set `leased`. The hash `fences` has the run of each by its id, so
-- that a job is found without a look through all that run. A run is 'fence claimed_at worker'.
--- @include fields

-- Fence, priority and id of a member, all as text.
local function read_member(member)
  return string.match(member, '^(%d+):(%d):(.*)$')
end

-- The time of the claim in a run, nil where it isn't known.
local function claimed_at(run)
  return tonumber(string.match(run or '', '^%d+ (%d+) '))
end

-- The worker in a run, nil where it isn't known.
local function worker_in(run)
  return string.match(run or '', '^%d+ %d+ (.+)$')
end

local function priority_in(member)
  return math.min(tonumber(string.match(member, ':(%d):')) or 3, 3)
end

-- Takes leases away, and with each the mark that its run is to be cancelled. `ids`: those of the members that have one.
local function end_leases(q, members, ids)
  redis.call('ZREM', q.leased, unpack(members))
  if #ids > 0 then
    redis.pcall('HDEL', q.fences, unpack(ids))
  end
  remove_fields(q.cancels, members)
end
