-- retry: jobs of the dead letter queue become ready again, with all their retries before them and their errors kept.
--- @args delay_ms: ms, spread_ms: ms
--- @list ids
-- delay_ms   when the first of them is to start    spread_ms  and within what time the others, evenly
-- reply  a string of '1' (it waits) and '0' (it isn't in the dead letter queue), one a job
-- cost   O(log n) a job
--- @include clock
--- @include records
--- @include fields
--- @include header
--- @include entered
--- @include due
--- @include tries
--- @include dead
--- @include holders

-- key, holder, … of dead jobs that hold their keys again: those that no other job holds by now. `keys` stand in the
-- order of `ids`, '' for none.
local function keys_taken_again(q, now, ids, keys)
  local own, at, entries, is_taken = {}, {}, {}, {}
  for n, key in ipairs(keys) do
    if key ~= '' then
      own[#own + 1], at[#own + 1] = key, n
    end
  end
  local stored = values_of(q.unique, own)
  for n, key in ipairs(own) do
    local id, holder = ids[at[n]], read_stored(q, key, stored[n])
    if not is_taken[key] and not (holder and (holder.id == id or holds(holder, {mode = 'e'}, now))) then
      entries[#entries + 1], entries[#entries + 2] = key, write_holder(id, 0, now)
      is_taken[key] = true
    end
  end
  return entries
end

local records = heads_of(q, ids)
local died = redis.call('ZMSCORE', q.dead, unpack(ids))
local tries = values_of(q.tries, ids)

local reply, seen, retried, keys, line_keys, priorities, tenants, fresh_tries = {}, {}, {}, {}, {}, {}, {}, {}
for i, id in ipairs(ids) do
  reply[i] = '0'
  if records[i] and died[i] and not seen[id] then
    seen[id] = true
    reply[i] = '1'
    retried[#retried + 1] = id
    keys[#retried], line_keys[#retried] = unique_key_of(records[i]), line_of(records[i])
    priorities[#retried] = priority_of(records[i])
    tenants[#tenants + 1] = tenant_in(records[i])
    local _, _, errors = read_tries(tries[i])
    fresh_tries[#fresh_tries + 1] = id
    fresh_tries[#fresh_tries + 1] = write_tries(0, 0, errors)
  end
end
if #retried == 0 then
  return table.concat(reply)
end

local now, earliest, waiting, dues, flow = now_ms(q), earliest_due(q), {}, {}, nil
for n, id in ipairs(retried) do
  local due = now + delay_ms + math.floor(spread_ms * (n - 1) / #retried)
  if line_keys[n] ~= '' then
    flow = flow or read_flow(q, now)
    note_kind(flow, line_keys[n])
  end
  if due > now then
    put_off(dues, due, priorities[n], id)
  elseif line_keys[n] ~= '' then
    enter_line(flow, priorities[n], line_keys[n], id)
  else
    line_up(waiting, priorities[n], id)
  end
end
check_ready(q, waiting)
redis.call('HLEN', q.tries)
if flow then
  plan_entered(q, flow)
end
local entries = keys_taken_again(q, now, retried, keys)
exhume(q, retried, tenants)
redis.call('HSET', q.tries, unpack(fresh_tries))
if entries[1] then
  redis.call('HSET', q.unique, unpack(entries))
end
make_startable(q, waiting, flow)
if dues[1] then
  make_due(q, dues, earliest)
end
return table.concat(reply)
