-- limit: how much of the queue may run, as its program declares it, or as set by hand, which goes before that.
--- @args text, by_hand: flag, by
-- text     as in include/limit.lua; '' takes back what was set by hand
-- reply    what was declared, or set by hand, before; '' for nothing
-- cost     O(1)
--- @include bell
if not by_hand and text == NO_LIMIT then
  text = ''
end
local field = by_hand and 'limit_set' or 'limit_declared'
local cfg = redis.call('HMGET', q.cfg, field, by_hand and 'limit_declared' or 'limit_set')
local before = cfg[1] or ''
if before == text then
  return before
end
local declared, set = by_hand and cfg[2] or text, by_hand and text or cfg[2]
local limit = (set and set ~= '') and set or declared
begin_writes(q)
if text == '' then
  redis.call('HDEL', q.cfg, field)
else
  redis.call('HSET', q.cfg, field, text)
end
if by_hand then
  redis.call('HSET', q.cfg, 'limit_by', by)
end
if limit and limit ~= '' and limit ~= NO_LIMIT then
  redis.call('HSET', q.cfg, 'limit', limit)
else
  redis.call('HDEL', q.cfg, 'limit')
end
ring(q)
return before
