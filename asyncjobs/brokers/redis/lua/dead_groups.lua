-- dead_groups: the groups of the dead that have jobs, the latest death first.
--- @reply dead, groups
-- dead    how many jobs are dead, in whatever group
-- groups  {id, 'first_death heading', state, note, how many, last death, those of each of the last 24 hours, a job, …}
--         of the hours the earliest comes first; there are none if nothing died within them
-- cost    O(log n) a group
--- @include clock
local HOUR, HOURS = 3600000, 24

local function part_of(part, which)
  local value = redis.pcall('HGET', groups_key(q, part), which)
  return type(value) == 'string' and value or ''
end

local now, groups = now_ms(q), {}

local function deaths_by_hour(key, latest)
  local counts = {}
  for ago = HOURS, latest > now - HOURS * HOUR and 1 or HOURS + 1, -1 do
    local begins = string.format('(%.0f', now - ago * HOUR)
    counts[#counts + 1] = redis.call('ZCOUNT', key, begins, ago == 1 and '+inf' or now - (ago - 1) * HOUR)
  end
  return counts
end

local found = redis.pcall('ZREVRANGE', groups_key(q, 'last'), 0, MAX_GROUPS)
for _, which in ipairs(found.err and {} or found) do
  local key = group_key(q, which)
  local latest = redis.pcall('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if latest[1] then
    local row = {
      which, part_of('headings', which), part_of('states', which), part_of('notes', which), redis.call('ZCARD', key),
      tonumber(latest[2]), deaths_by_hour(key, tonumber(latest[2])), latest[1],
    }
    for _, value in ipairs(row) do
      groups[#groups + 1] = value
    end
  end
end
return {redis.call('ZCARD', q.dead), groups}
