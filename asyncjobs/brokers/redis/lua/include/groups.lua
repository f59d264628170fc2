-- The groups of dead jobs (core/grouping.py). `group:<id>` has the jobs of one by their death. Beside it, `groups:last`
-- has the ids of groups by their latest death, and hashes by id `groups:headings` ('first_death heading'),
-- `groups:counts`, `groups:states` and `groups:notes`; `groups:of` has the group of each dead job, and `groups:total`
-- the number of headings. An empty group keeps its heading, so that it is known when it comes back. Where a key holds
-- another type, the jobs are in no group. Nothing is read here after a write, but what a write replies.

-- Enters jobs into a group that is begun; `deaths` are {died at, id, …}. Returns how many it has then.
local function join_group(q, which, deaths)
  local of = {}
  for n = 2, #deaths, 2 do
    of[n - 1], of[n] = deaths[n], which
  end
  redis.pcall('ZADD', group_key(q, which), unpack(deaths))
  redis.pcall('HSET', groups_key(q, 'of'), unpack(of))
  return redis.pcall('HINCRBY', groups_key(q, 'counts'), which, #deaths / 2)
end

-- Begins a group of which no job has died before; returns whether that is so.
local function begin_group(q, now, which, heading)
  return redis.pcall('HSETNX', groups_key(q, 'headings'), which, now .. ' ' .. heading) == 1
end

-- Begins the group of a job that dies now, unless it is known; returns its id, and whether it is new.
local function open_group(q, now, group)
  local which = string.sub(group, 1, GROUP_ID_SIZE)
  if not begin_group(q, now, which, string.sub(group, GROUP_ID_SIZE + 1)) then
    return which, false
  end
  local total = redis.pcall('HINCRBY', groups_key(q, 'total'), 'groups', 1)
  if type(total) == 'number' and total > MAX_GROUPS then
    redis.pcall('HINCRBY', groups_key(q, 'total'), 'groups', -1)
    redis.pcall('HDEL', groups_key(q, 'headings'), which)
    return OTHER_GROUP, begin_group(q, now, OTHER_GROUP, '')
  end
  return which, true
end

-- Notes that a job dies now, of its group; what is too short is none. write_groups enters it.
local function enter_group(q, now, id, group)
  if #group >= GROUP_ID_SIZE then
    q.deaths = q.deaths or {}
    local deaths = q.deaths[group] or {}
    q.deaths[group] = deaths
    deaths[#deaths + 1] = now
    deaths[#deaths + 1] = id
  end
end

-- Enters the jobs that die now into their groups: the many of one call mostly die of the same.
local function write_groups(q, now)
  for group, deaths in pairs(q.deaths or {}) do
    local which, is_new = open_group(q, now, group)
    redis.pcall('ZADD', groups_key(q, 'last'), now, which)
    if join_group(q, which, deaths) == #deaths / 2 and not is_new then
      redis.pcall('HSET', groups_key(q, 'states'), which, 'back')
    end
  end
end

-- The group of each job, false where it is in none.
local function groups_of(q, ids)
  local found = redis.pcall('HMGET', groups_key(q, 'of'), unpack(ids))
  return found.err and {} or found
end

-- Takes jobs out of their groups, as groups_of gives them.
local function leave_groups(q, ids, groups)
  local by_group = {}
  for n, which in pairs(groups) do
    if which then
      by_group[which] = by_group[which] or {}
      table.insert(by_group[which], ids[n])
    end
  end
  for which, own in pairs(by_group) do
    local left = redis.pcall('ZREM', group_key(q, which), unpack(own))
    redis.pcall('HINCRBY', groups_key(q, 'counts'), which, -whole_in(left))
    redis.pcall('HDEL', groups_key(q, 'of'), unpack(own))
  end
end

-- Forgets groups that are empty.
local function forget_groups(q, groups)
  for _, which in ipairs(groups) do
    redis.pcall('ZREM', groups_key(q, 'last'), which)
    for _, part in ipairs({'headings', 'counts', 'states', 'notes'}) do
      redis.pcall('HDEL', groups_key(q, part), which)
    end
    if which ~= OTHER_GROUP then
      redis.pcall('HINCRBY', groups_key(q, 'total'), 'groups', -1)
    end
  end
end
