-- limit: how much of the queue, of a rule or of a gate may run, as set by hand, which goes before what is declared.
--- @args gate, text, by
-- gate   the name of a rule, or a gate; '' for the queue
-- text   as in include/limit.lua; '' takes back what was set by hand
-- reply  1 if that changed anything
-- cost   O(1) for the queue, else O(rules + what was set by hand + weights + lines)
--- @include bell
--- @include rules
--- @include clock
--- @include waiting
local cfg = redis.call('HMGET', q.cfg, 'limit_set', 'limit_declared', 'rules_declared')
if gate == '' then
  if (cfg[1] or '') == text then
    return 0
  end
  begin_writes(q)
  set_or_remove(q, 'limit_set', text)
  redis.call('HSET', q.cfg, 'limit_by', by)
  set_queue_limit(q, text, cfg[2] or '')
  ring(q)
  return 1
end
local before = read_set(redis.call('HGET', flow_key(q, 'limits'), gate) or nil) or ''
if before == text then
  return 0
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
return 1
