-- gates: the rules of a queue, and its gates that have something to tell.
--- @reply now_ms, rules, gates
-- rules  the names of those that are declared
-- gates  as figures_of_gate has each (include/gate_figures.lua)
-- cost   O(rules + what was set by hand + gates in use + running jobs + lines)
--- @include clock
--- @include gate_figures
local now = now_ms(q)
local flow, waits, holders = read_flow(q, now), read_waits(q), read_holders_of(q)
local declared, rules, is_named, names = redis.call('HGET', q.cfg, 'rules_declared'), {}, {}, {}
local function name_gate(name)
  if not is_named[name] then
    is_named[name] = true
    names[#names + 1] = name
  end
end
for rule in pairs((read_declared(declared or ''))) do
  rules[#rules + 1] = rule
  name_gate(rule)
end
for _, part in ipairs({'limits', 'use', 'booked', 'closed'}) do
  for _, name in ipairs(redis.call('HKEYS', flow_key(q, part))) do
    name_gate(name)
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', flow_key(q, 'tat'), '(' .. now, '+inf')) do
  name_gate(name)
end
for name in pairs(waits) do
  name_gate(name)
end
for n = 1, #names do
  name_gate(string.match(names[n], '^[^=]*'))
end
flow.own = '1'
local gates = {}
for first = 1, #names, PART do
  read_gates(q, flow, gates_in(flow, {unpack(names, first, math.min(first + PART - 1, #names))}))
end
for n, name in ipairs(names) do
  gates[n] = figures_of_gate(q, flow, name, waits, holders)
end
return {now, rules, gates}
