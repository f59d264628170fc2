-- claim: promote what is due, take startable jobs from several queues in the order given, and lease them.
-- The same worker and number get no others, and are told to ask `reclaim` for the same: a lost reply loses nothing.
-- A claim that the network has held up until its worker has gone on is refused, since nobody waits for its jobs: its
-- number is below the last one that is kept, or it was sent before any that would still be kept.
--- @args worker, number: int, keep_number: flag, sent_at: int
--- @args limit: int, ahead: int, lease_ms: ms, lowest_first: flag, timer_ms: ms, any_name: flag, most_bytes: int
--- @args suspects: int, last_one: flag, max_deaths: int, kept_names
--- @list known
-- number        of this claim, rising          limit     how many jobs at most
-- keep_number   whether to keep the number even without jobs, since an earlier claim may still arrive
-- sent_at       when it was sent, in ms of the server's clock; 0 if the worker doesn't know
-- ahead         how many of them have no free slot yet; not claimed of a queue with a limit
-- lowest_first  serve the lowest priority first
-- timer_ms      for how many ms the worker would keep a queue's timer, 0 for not at all
-- any_name      whether the worker takes jobs of any name
-- most_bytes    how many bytes the records and their tries may have together, unless there is only one
-- suspects      how many jobs at most under which a worker has died before; the others stay where they are
-- last_one      whether it may be one, and no other, that is dead with its next death, the one at max_deaths
-- known, kept_names  the job names that it takes otherwise (include/names.lua); with none of them, it takes no job
--- @rare choose_in_turn, dues_by_line, next_opening, is_changed, write_flow, earlier
--- @rare limit_in, starts_left, used_up, read_room, use_rate
--- @rarer read_due, read_parked, take_parked, read_skips, read_waiting, leave, line_up, push, push_behind, reversed
--- @rarer entries_of, is_gone, set_gone, check_gone, must_wait, join_company, read_held, is_unparking, set_passes
--- @rarer heads_of, line_of, enter_line, bring_into_turn, note_kind, is_next_gone, where_of, look_ahead
--- @rarer put_before_gone, close_line, leave_line, has_no_gates, give_back, use_gate, gates_in, let_on, moment_of
--- @rarer opens_at, read_set
--- @reply now_ms, due_ms, again, fence, jobs
-- due_ms  when the earliest scheduled job is due, -1 if there is none or another worker keeps the timer
-- again   1 if there may be more that this claim did not look at, or if it was refused; REPEATED if it was made before
-- jobs    {id, tries, record, …}
-- reply   a list of those, one a queue; nil if there is no set of names
-- cost    O(log n) a job, O(1) a queue
--- @include clock
--- @include ready
--- @include gone
--- @include candidates
--- @include names
--- @include parked
--- @include limit
--- @include choice
--- @include turns
local REPEATED = 2

-- Sorts the candidates into those to lease, with `own` before them up to `want`, and those to park, to pass over, and
-- to leave where they are.
local function sort(found, own, want, run, held)
  local sorted = new_sorted({}, found.waiting)
  local members, parked, gone, waiting = sorted.members, sorted.parked, sorted.gone, sorted.waiting
  local priorities, records, tries, skips = found.priorities, found.records, found.tries, found.skips
  for n, id in ipairs(own.ids) do
    add_lease(sorted, run, id, own.records[n], own.tries[n])
  end
  for n, id in ipairs(found.ids) do
    if n > #records or #members == want then
      sorted.stop = n
      break
    end
    local record = records[n]
    local entries = skips[n] and entries_of(gone, priorities[n], id, skips[n])
    if entries and is_gone(entries.value, entries.seen) then
      entries.passed = entries.passed + 1
      waiting[n] = nil
    elseif waiting[n] or (tries[n] and must_wait(tries[n])) then
      waiting[n] = true
      if entries then
        entries.is_first = entries.seen == 1
      end
    elseif record then
      local kind, label = parking(record, held)
      if kind then
        parked[label] = parked[label] or {kind = kind}
        table.insert(parked[label], id)
      else
        if tries[n] then
          join_company(tries[n])
        end
        add_lease(sorted, run, id, record, tries[n])
      end
    end
  end
  return sorted
end

-- Chooses up to `want` jobs, `own` among them, and returns the candidates, and them sorted. Where too many of the first
-- candidates are none, it looks once more, at so many more.
local function choose(q, own, want, due, is_paused, run, held)
  local bytes, left, last = bytes_left, suspects_left, may_be_last
  local room = want - #own.ids
  local found = read_candidates(q, room, due, is_paused)
  local sorted = sort(found, own, want, run, held)
  if #sorted.members < want and found.more and not sorted.stop and not is_paused then
    bytes_left, suspects_left, may_be_last = bytes, left, last
    found = read_candidates(q, room + MAX_PASSED, due, is_paused)
    sorted = sort(found, own, want, run, held)
  end
  if sorted.stop or next(sorted.waiting) then
    leave(found, sorted.waiting, sorted.stop or math.huge)
  end
  found.more = found.more or sorted.stop ~= nil
  return found, sorted
end

-- To be called before the script writes.
local function check(q, own, sorted)
  if sorted.fences[1] then
    redis.call('HLEN', q.fences)
  end
  if own.lists[1] then
    check_gone(q)
  end
  if next(sorted.parked) then
    redis.call('HLEN', q.parked)
    for label in pairs(sorted.parked) do
      redis.call('LLEN', parked_jobs_key(q, label))
    end
  end
end

-- Takes the candidates from where they were, and puts each where it is to be. The leases come first: where they are
-- refused, nothing has been taken.
local function write(q, own, found, sorted, promoted, fence, now, flow)
  if #sorted.members > 0 then
    redis.call('ZADD', q.leased, unpack(sorted.leases))
    redis.call('HSET', q.fences, unpack(sorted.fences))
    redis.call('HSET', q.cfg, 'fence', fence)
  end
  if #sorted.members > 0 or keep_number then
    redis.call('SET', claim_key(q, worker), number .. ' ' .. fence .. ' ' .. table.concat(sorted.members, ' '), 'PX',
      math.max(CLAIM_KEEP_MS, 2 * lease_ms))
  end
  if own.lists[1] then
    take_parked(q, own)
  end
  for priority, count in pairs(found.taken) do
    redis.call('LTRIM', q.ready[priority], count, -1)
    if found.kept[priority] then
      push(q, 'LPUSH', priority, reversed(found.kept[priority]))
    end
  end
  if #promoted > 0 then
    redis.call('ZREM', q.scheduled, unpack(promoted))
    push_behind(q, found.rest)
  end
  if flow then
    write_flow(q, flow)
  end
  for _, entries in pairs(sorted.gone) do
    -- Once the first one is taken, those behind it are the first.
    local left = math.abs(entries.value) - entries.passed
    set_gone(q, entries.where, entries.id, entries.value < 0 and entries.is_first and -left or left, entries.passed)
  end
  for label, ids in pairs(sorted.parked) do
    redis.call('RPUSH', parked_jobs_key(q, label), unpack(ids))
    redis.call('HSETNX', q.parked, label, now)
    for _, id in ipairs(ids) do
      set_kind(job_key(q, id), ids.kind)
    end
  end
end

-- The next due time, if the worker keeps the queue's timer from now on, or -1. A keeper that would keep it for longer
-- than this worker is not relied on, since the clock may have been set back; nor one whose timer is for a later time
-- than `opens`, at which a rate that is used up allows the next starts.
local function read_timer(q, now, keeper, keeper_until, keeper_due, opens)
  local left = whole_in(keeper_until) - now
  local is_kept = keeper and keeper ~= worker and left >= 0 and left <= timer_ms
    -- Rounding may make its time a millisecond later.
    and (not opens or (whole_in(keeper_due) > now and whole_in(keeper_due) <= opens + 1))
  if timer_ms == 0 or is_kept or not (opens or has_more_than_ready(q)) then
    return -1
  end
  local after = has_more_than_ready(q)
    and redis.call('ZRANGEBYSCORE', q.scheduled, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1) or {}
  local due = tonumber(after[2])
  return due and opens and math.min(due, opens) or due or opens or -1
end

-- Whether a queue has nothing that starts now or later, nothing parked, and no token. A worker of many queues finds
-- most of them so.
local function is_empty(q)
  local ready = q.ready
  return redis.call('EXISTS', ready[0], ready[1], ready[2], ready[3], q.scheduled, q.parked, q.bell) == 0
end

-- How often the token may be passed on from now on; nil unless another worker is to be woken for parked jobs, since it
-- may know them: after jobs were parked, or left for want of room, or by a worker that finds nothing (`is_idle`).
local function passes_after(q, own, sorted, held, is_idle)
  for label in pairs(sorted.parked) do
    if not (held and held[label]) then
      return MAX_RING_PASSES
    end
  end
  if own.has_rest and own.ids[1] then
    return MAX_RING_PASSES
  end
  local left = own.has_rest and is_idle and whole_in(redis.call('HGET', q.cfg, 'passes')) or 0
  return left > 0 and left - 1 or nil
end

-- Returns the part of the reply, and how many jobs are in it.
local function claim(q, want)
  local last = redis.call('GET', claim_key(q, worker))
  local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'held', 'fence', 'keeper', 'keeper_until', 'unparking', 'limit',
    'used_until', 'keeper_due', 'flow')
  local now, held = shifted_now(cfg[1]), cfg[2] and read_held(cfg[2]) or nil
  -- Of the clock, so that none is given again by a server that has lost its last writes.
  local fence = math.max(whole_in(cfg[3]) + 1, 10 * now)
  local is_paused = (held and held[HELD_QUEUE]) or (cfg[6] and is_unparking(cfg[6], now))
  local last_number = last and tonumber(string.match(last, '^%d+')) or 0
  if last_number == number then
    local _, count = string.gsub(last, ' %d+:%d:%S+', '')
    return {now, -1, REPEATED, 0, {}}, count
  elseif last_number > number or (sent_at > 0 and now - sent_at > CLAIM_KEEP_MS) then
    return {now, -1, 1, 0, {}}, 0
  elseif QUEUES > 1 and not keep_number and not cfg[10] and is_empty(q) then
    return {now, -1, 0, 0, {}}, 0
  end
  local limit, room, most_gated = cfg[7] and limit_in(cfg[7], cfg[8], now), math.huge, want - ahead
  if limit then
    room = read_room(q, limit, now)
    want = math.max(0, math.min(want - ahead, room))
    most_gated = want
  end
  local due, promoted, is_more_due, own = {}, {}, false, {ids = {}, lists = {}}
  if has_more_than_ready(q) then
    due, promoted, is_more_due = read_due(q, now)
    -- Before all that is due is ready, nobody knows what is first.
    want = is_more_due and 0 or want
  end
  local dues = cfg[10] and dues_by_line(q, due)
  local has_lines = dues and (dues.lined[1] or redis.call('HLEN', flow_key(q, 'lines')) > 0)
  local asked = want
  want = has_lines and math.min(want, MAX_LINED_CLAIM) or want
  if has_more_than_ready(q) then
    own = read_parked(q, is_paused and 0 or want, dues and dues.plain or due, held)
  end
  local run = {fence = fence, deadline = now + lease_ms, text = fence .. ' ' .. now .. ' ' .. worker, now = now}
  local found, sorted, flow
  if has_lines then
    found, sorted, flow = choose_in_turn(q, own, is_paused and 0 or want, most_gated, dues, run, held)
  else
    found, sorted = choose(q, own, want, due, is_paused, run, held)
  end
  local is_open = #sorted.members < room
  local opens = not (is_open or is_paused) and found.more and opens_at(limit, now, #sorted.members) or nil
  if flow and not is_paused then
    opens = earlier(opens, next_opening(q, flow))
  end
  local next_due = read_timer(q, now, cfg[4], cfg[5], cfg[9], opens)
  -- If the rest waits for others of its kind to end, nobody needs be woken.
  local has_moved = next(found.taken) ~= nil or #promoted > 0
  local is_startable = is_open and not is_paused
  local more = found.more and is_startable and (has_moved or sorted.stop ~= nil or not next(sorted.waiting))
  local has_changed = flow and is_changed(flow)
  if flow then
    has_moved = has_moved or #sorted.members > 0 or next(sorted.parked) ~= nil
  end
  local is_idle = not (more or sorted.members[1] or next(sorted.parked))
  local passes = not (is_paused or is_more_due) and passes_after(q, own, sorted, held, is_idle) or nil
  local moves = has_moved or has_changed or own.lists[1] or passes
  if not moves and next_due < 0 and not keep_number and more == is_rung(q)
    and not (limit and limit.is_cut) then
    return {now, -1, 0, 0, {}}, 0
  end

  check(q, own, sorted)
  begin_writes(q)
  write(q, own, found, sorted, promoted, fence, now, flow)
  if limit then
    use_rate(q, limit, now, #sorted.members)
  end
  if next_due >= 0 then
    redis.call('HSET', q.cfg, 'keeper', worker, 'keeper_until', now + timer_ms,
      'keeper_due', next_due)
  end
  -- Some candidates were none: this worker claims again at once, so no other need be woken for the rest.
  local again = more and has_moved and not sorted.stop and #sorted.members < want
  if flow then
    again = more and (flow.again or next(sorted.parked) ~= nil or #sorted.members == want) and #sorted.members < asked
  end
  again = again or is_more_due
  if passes then
    set_passes(q, passes)
  end
  if not (more or passes) then
    redis.call('DEL', q.bell)
  elseif passes or not again then
    ring(q)
  end
  return {now, next_due, again and 1 or 0, fence, sorted.jobs}, #sorted.members
end

local want, reply = limit, {}
for block = 1, QUEUES do
  local part, count = claim(queue(block), want)
  reply[block] = part
  -- The worker claims again at once: until then, nothing of the next queues comes before what is left here.
  want = part[3] == 0 and want - count or 0
end
return reply
