-- The one way for a new job into the queue; one whose id is known already is left as it is.
--- @include clock
--- @include header
--- @include records
--- @include entered
--- @include due

-- The time, if `needs_now` or something here depends on it, and whether the queue may still have events of jobs that
-- are no more: only then are they looked for.
local function read_admission(q, needs_now)
  local cfg = redis.call('HMGET', q.cfg, 'shift_ms', 'events_until')
  local now = (needs_now or cfg[2]) and shifted_now(cfg[1])
  return now, now and now <= (tonumber(cfg[2]) or 0)
end

-- Reads before it writes. `whens`: '' for now, or what time_given reads, one a job; nil for all of them now.
-- `now` is needed where one of them is not ''. `left_out`: by the number of a job whether it isn't to be accepted; nil
-- for none of them. `flow`: what is to change in the lines anyway, nil for nothing.
-- reply  '1' (new), '0' (known) or '2' (left out), one a job
local function admit(q, now, has_events, ids, records, whens, left_out, flow)
  local keys = record_keys(q, ids)
  local known = read_records(keys)

  local accepted, streams, waiting, dues, seen, reply = {}, {}, {}, {}, {}, {}
  for n, id in ipairs(ids) do
    if known[n] or seen[id] then
      reply[n] = '0'
    elseif left_out and left_out[n] then
      reply[n] = '2'
    else
      reply[n] = '1'
      seen[id] = true
      accepted[#accepted + 1] = keys[n]
      accepted[#accepted + 1] = records[n]
      if has_events then
        streams[#streams + 1] = events_key(q, id)
      end
      local when = whens and whens[n] or ''
      local due = when ~= '' and time_given(when, now)
      local priority = priority_of(records[n])
      local key = string.byte(records[n], 5) ~= 0 and line_of(records[n]) or ''
      if key ~= '' then
        flow = flow or read_flow(q, now)
      end
      if due and due > now then
        put_off(dues, due, priority, id)
        if flow then
          note_kind(flow, key)
        end
      elseif key ~= '' then
        enter_line(flow, priority, key, id)
      else
        line_up(waiting, priority, id)
      end
    end
  end

  check_ready(q, waiting)
  if flow then
    read_entered(q, flow)
    check_flow(q, flow)
  end
  local earliest = dues[1] and earliest_due(q)
  for first = 1, #accepted, PART do
    redis.call('MSET', unpack(accepted, first, math.min(first + PART - 1, #accepted)))
  end
  for first = 1, #streams, PART do
    redis.call('DEL', unpack(streams, first, math.min(first + PART - 1, #streams)))
  end
  make_startable(q, waiting, flow)
  if dues[1] then
    make_due(q, dues, earliest)
  end
  return reply
end
