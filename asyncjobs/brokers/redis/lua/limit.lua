-- limit: how much of the queue, of a rule or of a gate may run, as set by hand, which goes before what is declared.
--- @args gate, given, by, keep
-- gate   the name of a rule, or a gate; '' for the queue
-- given  as in include/limit.lua; '' takes back what was set by hand
-- keep   'running' or 'rate': what is as it is until now, in place of what `given` says; '' for none
-- reply  the limit that holds now, '' if that has changed nothing
-- cost   O(1) for the queue, else O(rules + what was set by hand + weights + lines)
--- @include bell
--- @include rules
--- @include clock
--- @include waiting
local NUMBERS = '^(%d+) (%d+ %d+ %d+)$'

-- What is to be set, where `held` holds until now.
local function merged(held)
  local running, rate = string.match(given, NUMBERS)
  local running_held, rate_held = string.match(held, NUMBERS)
  if not (running and running_held) then
    return given
  end
  return (keep == 'running' and running_held or running) .. ' ' .. (keep == 'rate' and rate_held or rate)
end

local cfg = redis.call('HMGET', q.cfg, 'limit_set', 'limit_declared', 'rules_declared')
if gate == '' then
  local before, declared = cfg[1] or '', cfg[2] or NO_LIMIT
  local text = merged(before ~= '' and before or declared)
  if before == text then
    return ''
  end
  begin_writes(q)
  set_or_remove(q, 'limit_set', text)
  redis.call('HSET', q.cfg, 'limit_by', by)
  set_queue_limit(q, text, cfg[2] or '')
  ring(q)
  return text ~= '' and text or declared
end
local rule = string.match(gate, '^[^=]*')
local before = read_set(redis.call('HGET', flow_key(q, 'limits'), gate) or nil) or ''
local of_rule = rule ~= gate and read_set(redis.call('HGET', flow_key(q, 'limits'), rule) or nil)
  or read_declared(cfg[3] or '')[rule] or NO_LIMIT
local text = merged(before ~= '' and before or of_rule)
if before == text then
  return ''
end
local held = rules_after(q, cfg[3] or '', gate, text ~= '' and text or nil)
local flow, is_any_on = let_on_after(q, now_ms(q), function(one)
  return one == gate or string.match(one, '^[^=]*') == gate
end, held, {gate = gate, limit = text ~= '' and text or nil})

begin_writes(q)
if text == '' then
  redis.call('HDEL', flow_key(q, 'limits'), gate)
else
  redis.call('HSET', flow_key(q, 'limits'), gate, text .. ' ' .. by)
end
write_rules(q, held)
if flow then
  write_flow(q, flow)
end
if is_any_on then
  ring(q)
end
return text ~= '' and text or of_rule
