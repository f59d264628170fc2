-- declare: how much of the queue and of its gates may run, and between whom it is shared, as its program says.
--- @args limit, packed
-- limit   of the queue, as in include/limit.lua
-- packed  the others: {rule -> limit, group -> weight, whether turns go by time}, '' for none
--- @reply limit_before, packed_before
-- cost    O(rules + weights), and O(lines) where the rules have changed
--- @include bell
--- @include rules
--- @include clock
--- @include waiting
local cfg = redis.call('HMGET', q.cfg, 'limit_declared', 'limit_set', 'rules_declared')
local limit_before, packed_before = cfg[1] or '', cfg[3] or ''
if limit == NO_LIMIT then
  limit = ''
end
if limit == limit_before and packed == packed_before then
  return {limit_before, packed_before}
end
local changed, flow, is_any_on = packed ~= packed_before and rules_after(q, packed) or nil, nil, false
if changed then
  local before, after = read_declared(packed_before), read_declared(packed)
  local is_other = false
  for _, pair in ipairs({{before, after}, {after, before}}) do
    for rule, limit in pairs(pair[1]) do
      is_other = is_other or pair[2][rule] ~= limit
    end
  end
  flow, is_any_on = let_on_after(q, now_ms(q), function(gate)
    local rule = string.match(gate, '^[^=]*')
    return is_other and (before[rule] or after[rule])
  end, changed)
end

begin_writes(q)
if limit ~= limit_before then
  set_or_remove(q, 'limit_declared', limit)
  set_queue_limit(q, cfg[2] or '', limit)
end
if changed then
  set_or_remove(q, 'rules_declared', packed)
  write_rules(q, changed)
end
if flow then
  write_flow(q, flow)
end
if is_any_on or limit ~= limit_before then
  ring(q)
end
return {limit_before, packed_before}
