-- What there is to tell of gates.
--- @include gates
--- @include leases
local MAX_HOLDERS = 10

-- How many entries of lists don't count, by where these are (as of gone_field); where there are very many, none are
-- known.
local MAX_GONE = 1000
local function gone_counts(q)
  local counts = {}
  if redis.call('HLEN', q.gone) <= MAX_GONE then
    local fields = redis.call('HGETALL', q.gone)
    for n = 1, #fields, 2 do
      local where = string.match(fields[n], '^%S* (.*)$') or ''
      counts[where] = (counts[where] or 0) + math.abs(whole_in(fields[n + 1]))
    end
  end
  return counts
end

-- By gate, how many lines wait for it, how many jobs are in these, and the first job, by the order of ids, of all.
-- Where very many wait, those that are not looked at count as a job each.
local MAX_LINES = 5000
local function read_waits(q)
  local states, waits, gone, looked = redis.call('HGETALL', flow_key(q, 'lines')), {}, gone_counts(q), 0
  for n = 1, #states, 2 do
    local gate = string.match(states[n + 1], '^w(.*)$')
    local count, first = gate and 1 or 0, nil
    if gate and looked < MAX_LINES then
      looked = looked + 1
      count = redis.call('LLEN', line_key(q, states[n])) - (gone[line_where(states[n])] or 0)
      first = redis.call('LINDEX', line_key(q, states[n]), 0) or nil
    end
    if count > 0 then
      local found = waits[gate] or {lines = 0, jobs = 0}
      waits[gate] = found
      found.lines, found.jobs = found.lines + 1, found.jobs + count
      found.first = first and (not found.first or first < found.first) and first or found.first
    end
  end
  return waits
end

-- By gate, the ids of jobs that run through it, in the order of their claims, MAX_HOLDERS at most.
local function read_holders_of(q)
  local slots, runs, holders = redis.call('HGETALL', flow_key(q, 'slots')), {}, {}
  for n = 1, #slots, 2 do
    local fence, _, id = read_member(slots[n])
    runs[#runs + 1] = {fence = tonumber(fence) or 0, id = id or '', key = slots[n + 1]}
  end
  table.sort(runs, function(one, other)
    return one.fence < other.fence or (one.fence == other.fence and one.id < other.id)
  end)
  for _, run in ipairs(runs) do
    for gate in string.gmatch(run.key, '\31([^\31]*)') do
      holders[gate] = holders[gate] or {}
      if #holders[gate] < MAX_HOLDERS then
        table.insert(holders[gate], run.id)
      end
    end
  end
  return holders
end

-- What of a gate is used up, and what waits:
--   {gate, limit, 'limit by' set by hand, slots, booked ones, lines, jobs, when it opens or -1, the oldest job, its
--   record, ids}
local function figures_of_gate(q, flow, name, waits, holders)
  local gate, set = flow.gates[name], redis.call('HGET', flow_key(q, 'limits'), name)
  local waiting = waits[name] or {lines = 0, jobs = 0}
  -- While lines wait, several starts are let come together: one alone would open it earlier.
  local opens = moment_of(flow, gate) or (waiting.lines > 0 and redis.call('ZSCORE', flow_key(q, 'opens'), name))
  local oldest = waiting.first and redis.call('GET', job_key(q, waiting.first)) or ''
  return {
    name, (set and read_set(set)) or flow.rules[string.match(name, '^[^=]*')] or NO_LIMIT, set or '', gate.use,
    gate.booked and 1 or 0, waiting.lines, waiting.jobs, tonumber(opens) or -1, waiting.first or '', oldest,
    holders[name] or {},
  }
end
