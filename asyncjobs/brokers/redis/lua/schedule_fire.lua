-- schedule_fire: enqueue the jobs of ticks, each once however many workers ask: the second finds another tick.
--- @each firing: id, expected: int, next_tick: int, last, count: int, overlaps: flag
--- @each job: id, record, mode, within: ms
-- expected  the tick that the caller takes for the next one, 0 to fire now whatever tick is the next one
-- next_tick  the one after it, 0 to leave that as it is
-- last      the latest tick that fires now, '' if they are only left out
-- overlaps  whether it fires although the job that it has made last is live
-- count     how many of the jobs are its own; they stand in the order of the firings
-- mode, within  as of include/holders.lua
--- @rare meet_holders, write_met
--- @rare line_of, read_flow, enter_line, note_kind, read_entered, check_flow, write_entered
--- @reply now_ms, fired, skipped
-- fired    a string of '1' and '0' (not due yet, paused, or fired by another), one a firing
-- skipped  a string of '1' (fired, but without jobs, since the last one is live) and '0', one a firing
-- cost   O(log n) a firing, O(1) a job
--- @include admit
--- @include holders

local function is_live(q, id)
  local head = heads_of(q, {id})[1]
  return head and not (is_readable(head) and is_ended(head)) and not redis.call('ZSCORE', q.dead, id)
end

local now, has_events = read_admission(q, true)
local fired, skipped, ids, records, rules, last_jobs, jobs_before, has_unique = {}, {}, {}, {}, {}, {}, 0, false
for n = 1, firing_rows do
  --- @row firing n: id, expected, count, overlaps
  count = math.max(0, math.min(count, job_rows - jobs_before))
  local tick = redis.call('ZSCORE', q.ticks, id)
  local fires = tick and (expected == 0 or expected <= now and tonumber(tick) == expected)
  local before = fires and count > 0 and not overlaps and redis.call('HGET', q.schedules, 'j:' .. id)
  local skips = before and is_live(q, before)
  fired[n] = fires and '1' or '0'
  skipped[n] = skips and '1' or '0'
  for own = jobs_before + 1, fires and not skips and jobs_before + count or 0 do
    --- @row job own: id, record, mode, within
    ids[#ids + 1] = id
    records[#ids], rules[#ids] = record, {mode = mode, within = within}
    has_unique = has_unique or mode ~= ''
    last_jobs[n] = #ids
  end
  jobs_before = jobs_before + count
end

redis.call('HLEN', q.schedules)
local met = {ids = {}}
if has_unique then
  met = meet_holders(q, now, ids, records, {}, rules, records_of(q, ids))
end
admit(q, now, has_events, ids, records, nil, met.ids, met.flow)
if has_unique then
  write_met(q, met)
end
for n = 1, firing_rows do
  --- @row firing n: id, expected, next_tick, last
  if fired[n] == '1' then
    if next_tick ~= 0 then
      redis.call('ZADD', q.ticks, next_tick, id)
    end
    if skipped[n] == '1' then
      if expected ~= 0 then
        local times = tonumber(redis.call('HGET', q.schedules, 's:' .. id)) or 0
        redis.call('HSET', q.schedules, 's:' .. id, times + 1, 'k:' .. id, last)
      end
    elseif last ~= '' then
      redis.call('HSET', q.schedules, 'l:' .. id, last)
    end
    local number = last_jobs[n]
    if number then
      redis.call('HSET', q.schedules, 'j:' .. id, met.ids[number] or ids[number])
    end
  end
end
return {now, table.concat(fired), table.concat(skipped)}
