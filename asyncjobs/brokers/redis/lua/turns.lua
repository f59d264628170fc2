-- turns: the groups that have jobs in turn, by priority and in the order of their next starts.
--- @args limit: int
-- reply  {group, priority, weight, how many jobs wait, …}; of a group, MAX_LINES lines count. In all MAX_LOOKED lines
--        are looked at, and each of the others counts as one job
-- cost   O(limit * MAX_LINES), with MAX_LOOKED reads of lines; groups whose lines were emptied are passed over, at most
--        4 * limit of each priority
--- @include gate_figures
local MAX_LINES, MAX_LOOKED, MAX_READS = 100, 5000, 5
local gone, found, looked = gone_counts(q), {}, 0

-- How many jobs wait in the lines of a group that are in turn.
local function count_jobs(priority, group)
  local keys, count = redis.call('LRANGE', turn_key(q, priority .. ':' .. group), 0, MAX_LINES - 1), 0
  for _, key in ipairs(keys[1] and keys or {group}) do
    local field, own = priority .. ':' .. key, 1
    if looked < MAX_LOOKED then
      own = redis.call('LLEN', line_key(q, field)) - (gone[line_where(field)] or 0)
    end
    count = count + own
    looked = looked + 1
  end
  return count
end

for priority = 0, 3 do
  local first, last = 0, MAX_READS * limit
  while first < last and #found < 4 * limit do
    local groups = redis.call('ZRANGE', flow_key(q, 'turns:' .. priority), first, first + limit - 1)
    for _, group in ipairs(groups) do
      local count = #found < 4 * limit and count_jobs(priority, group) or 0
      if count > 0 then
        for _, value in ipairs({group, priority, redis.call('HGET', flow_key(q, 'weights'), group) or '1', count}) do
          found[#found + 1] = value
        end
      end
    end
    first = #groups < limit and last or first + limit
  end
end
return found
