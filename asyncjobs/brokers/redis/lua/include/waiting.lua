-- Lines that wait for gates, after these have changed otherwise than by a job.
--- @include flow

-- Lets lines on that wait for gates among those of which `is_changed` says so, as far as these have room. What is to
-- hold from now on: `rules` as of rules_after, nil for what holds now; `own` {gate, limit}, set by hand for a gate,
-- where the limit is nil for none. Returns the flow to write, and whether a worker is to be woken; nil where nothing
-- waits.
local function let_on_after(q, now, is_changed, rules, own)
  local flow = read_flow(q, now)
  if flow.all_wait == 0 then
    return nil, false
  end
  if rules then
    flow.rules, flow.own, flow.new_weights = rules.rules, rules.own or nil, rules.weights_by
    flow.new_own = own
  end
  for _, state in ipairs(redis.call('HVALS', flow_key(q, 'lines'))) do
    local gate = string.match(state, '^w(.*)$')
    if gate and is_changed(gate) then
      flow.freed[gate] = true
    end
  end
  return flow, plan_entered(q, flow, true)
end
