-- settle: end, retry, bury or release leased jobs. A job whose lease was taken over is refused: its fence is gone.
--- @args has_unique: flag
--- @each job: member, id, name, verdict, value, ms: ms, duration_us: int, bucket, entry, tenant
-- has_unique  whether one of those that complete or are cancelled has a unique key
-- member   fence:priority:id of the lease
-- verdict  'c' complete, 'x' cancel: `value` is the final record, kept for `ms`
--          'r' retry: `value` is the tries, due in `ms`
--          's' snooze: due in `ms`, nothing counted; `value` is the gate that is closed until then, '' for none
--          'd' dead: `value` is the tries                  'l' release: back to the front
--          'p' park: this version can't read the job
-- bucket   of the histogram of durations; of a dead job, its group, '' for none
-- entry    of the history, '' for none    tenant  '' for none
--- @rare is_full, read_ends, write_flow
--- @rarer check_places, earliest_due, put_off, make_due, bury, write_groups, line_up, make_ready_again, priority_in
--- @rarer set_kind, set_passes, ring, tell_waiters, keys_of_ended
--- @rarer heads_of, line_of, enter_line, line_in, write_line, bring_into_turn, new_group, scores_of, set_state
--- @rarer note_kind, take_back_turns, charge_run, close_gate, gates_in, read_gates, use_gate, note_freed, pass_baton
--- @rarer write_rotation, keys_of, used_up, forget_tags
-- reply    a string of '1' (done) and '0' (refused), one a job
-- cost     O(log n) a job
--- @include clock
--- @include ready
--- @include checks
--- @include due
--- @include parking
--- @include leases
--- @include figures
--- @include dead
--- @include forget
--- @include waiters
--- @include unique
--- @include limit
--- @include records
--- @include flow
local ENDS = {c = true, x = true, d = true}
local UNREAD = BY_VERSION .. VERSION

-- The unique keys that jobs leave which complete or are cancelled.
local function keys_of_ended(q, holds)
  local ids, records = {}, {}
  for n = 1, job_rows do
    --- @row job n: id, verdict, value
    if holds[n] == '1' and verdict ~= 'd' and ENDS[verdict] then
      ids[#ids + 1], records[#records + 1] = id, value
    end
  end
  return keys_left(q, ids, records)
end

-- What the ends of these leases change in the lines of the queue, and whether a worker is to be woken. Jobs that are
-- released go back to the front of their lines, and are taken out of `released`: number of a row -> true. `closes`:
-- whether one of them closes a gate.
local function read_ends(q, now, members, rows, released, closes)
  local flow, seconds, unused = read_flow(q, now), {}, {}
  for at, n in ipairs(flow.by_time and rows or {}) do
    --- @row job n: duration_us
    seconds[at] = whole_in(duration_us) / 1e6
  end
  end_slots(q, flow, members, seconds)
  for at, n in ipairs((closes or next(released)) and rows or {}) do
    --- @row job n: id, verdict, value, ms
    if verdict == 's' and value ~= '' then
      close_gate(q, flow, value, now + ms)
    elseif released[n] then
      local head = heads_of(q, {id})[1]
      local key = head and line_of(head) or ''
      if key ~= '' then
        enter_line(flow, priority_in(members[at]), key, id, true)
        unused[#unused + 1] = line_in(flow, priority_in(members[at]), key)
        released[n] = nil
      end
    end
  end
  if unused[1] then
    take_back_turns(q, flow, unused)
  end
  return flow, plan_entered(q, flow)
end

local members, reply = {}, {}
for n = 1, job_rows do
  --- @row job n: member
  members[n] = member
end
local leases = redis.call('ZMSCORE', q.leased, unpack(members))
local held, held_ids, held_rows, ended, seen, all_over, is_unread, released = {}, {}, {}, {}, {}, true, false, {}
local closes = false
for n, member in ipairs(members) do
  --- @row job n: id, verdict, value
  -- A member that is named twice in one call counts once.
  local holds = leases[n] and not seen[member]
  reply[n] = holds and '1' or '0'
  if holds then
    seen[member] = true
    held[#held + 1] = member
    held_ids[#held_ids + 1] = id
    held_rows[#held_rows + 1] = n
    released[n] = verdict == 'l' or nil
    closes = closes or (verdict == 's' and value ~= '')
    all_over = all_over and (verdict == 'c' or verdict == 'x')
    is_unread = is_unread or verdict == 'p'
    if ENDS[verdict] then
      ended[#ended + 1] = id
    end
  end
end
if #held == 0 then
  return table.concat(reply)
end
local awaited = awaited_ids(q, ended)
local keys = has_unique and keys_of_ended(q, reply) or nil
local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'limit', 'flow')
local now, earliest, was_full = shifted_now(cfg[1]), nil, cfg[2] and is_full(q, cfg[2])
local flow, is_any_on
if cfg[3] or closes then
  flow, is_any_on = read_ends(q, now, held, held_rows, released, closes)
end
if not all_over then
  check_places(q)
  earliest = earliest_due(q)
end
if is_unread then
  redis.call('HLEN', q.parked)
  redis.call('LLEN', parked_jobs_key(q, UNREAD))
end

-- The first write only shrinks, as begin_writes does.
end_leases(q, held, held_ids)
local figures, over, dues, waiting = new_figures(), {}, {}, {}
for n = 1, job_rows do
  if reply[n] == '1' then
    --- @row job n: member, id, verdict, value, ms, entry, tenant
    local counts = counts_of(figures, tenant)
    if verdict == 'c' then
      --- @row job n: duration_us, bucket
      set_ended(job_key(q, id), value, ms)
      over[#over + 1] = id
      add(counts, 'succeeded', 1)
      add(counts, 'duration_us', duration_us)
      add(counts, 'h:' .. bucket, 1)
    elseif verdict == 'x' then
      set_ended(job_key(q, id), value, ms)
      over[#over + 1] = id
      add(counts, 'cancelled', 1)
    elseif verdict == 'r' then
      redis.call('HSET', q.tries, id, value)
      put_off(dues, now + ms, priority_in(member), id)
      add(counts, 'retried', 1)
    elseif verdict == 's' then
      put_off(dues, now + ms, priority_in(member), id)
    elseif verdict == 'd' then
      --- @row job n: bucket
      redis.call('HSET', q.tries, id, value)
      bury(q, now, id, tenant, bucket)
      add(counts, 'failed', 1)
    elseif verdict == 'p' then
      redis.call('RPUSH', parked_jobs_key(q, UNREAD), id)
      redis.call('HSETNX', q.parked, UNREAD, now)
      set_kind(job_key(q, id), VERSION)
    elseif released[n] then
      line_up(waiting, priority_in(member), id)
    end
    if entry ~= '' then
      --- @row job n: name
      enter(figures, name, tenant, entry)
    end
  end
end
forget_live(q, over)
if q.deaths then
  write_groups(q, now)
end
write_figures(q, figures, now)
if not all_over then
  make_ready_again(q, waiting)
  if dues[1] then
    make_due(q, dues, earliest)
  end
end
if flow then
  write_flow(q, flow)
end
if is_unread then
  set_passes(q, MAX_RING_PASSES)
  ring(q)
end
if was_full or is_any_on then
  ring(q)
end
if awaited[1] then
  tell_waiters(q, awaited)
end
if keys then
  remove_fields(q.unique, keys)
end
return table.concat(reply)
