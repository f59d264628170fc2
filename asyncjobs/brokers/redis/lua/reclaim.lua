-- reclaim: what a claim was given, once more, since its reply was lost, with new deadlines; less what is no longer
-- leased. What doesn't fit into the bytes goes back to where it was, since the reply may have been lost for its size.
--- @args worker, number: int, lease_ms: ms, most_bytes: int
--- @reply now_ms, due_ms, again, fence, jobs
-- reply  as of claim
-- cost   O(log n) a job
--- @include clock
--- @include ready
--- @include leases
--- @include fitting
--- @include flow
local now, last = now_ms(q), redis.call('GET', claim_key(q, worker)) or ''
local given, fence, rest = string.match(last, '^(%d+) (%d+) (.*)$')
if tonumber(given) ~= number or rest == '' then
  return {now, -1, 1, 0, {}}
end
local members, ids = {}, {}
for member, id in string.gmatch(rest, '(%d+:%d:(%S+))') do
  members[#members + 1] = member
  ids[#ids + 1] = id
end

local jobs, leases, back, back_ids, waiting, unused, flow = {}, {}, {}, {}, {}, {}, nil
if redis.call('HEXISTS', q.cfg, 'flow') == 1 then
  flow = read_flow(q, now)
end
for n, score in ipairs(redis.call('ZMSCORE', q.leased, unpack(members))) do
  local id = ids[n]
  local record = score and #back == 0 and (redis.call('GET', job_key(q, id)) or '')
  local tries = record and redis.call('HGET', q.tries, id) or ''
  if record and fits(record, tries) then
    leases[#leases + 1] = now + lease_ms
    leases[#leases + 1] = members[n]
    jobs[#jobs + 1] = id
    jobs[#jobs + 1] = tries
    jobs[#jobs + 1] = record
  elseif score then
    back[#back + 1] = members[n]
    back_ids[#back_ids + 1] = id
    local key = flow and line_of(heads_of(q, {id})[1] or '') or ''
    if key == '' then
      line_up(waiting, priority_in(members[n]), id)
    else
      enter_line(flow, priority_in(members[n]), key, id, true)
      unused[#unused + 1] = line_in(flow, priority_in(members[n]), key)
    end
  end
end
local is_any_on = false
if flow then
  local none = {}
  for n in ipairs(back) do
    none[n] = 0
  end
  end_slots(q, flow, back, none)
  take_back_turns(q, flow, unused)
  is_any_on = plan_entered(q, flow)
end

check_ready(q, waiting)
begin_writes(q)
if #leases > 0 then
  redis.call('ZADD', q.leased, 'XX', unpack(leases))
end
if #back > 0 then
  end_leases(q, back, back_ids)
  make_ready_again(q, waiting)
end
if flow then
  write_flow(q, flow)
end
if is_any_on then
  ring(q)
end
return {now, -1, 1, tonumber(fence), jobs}
