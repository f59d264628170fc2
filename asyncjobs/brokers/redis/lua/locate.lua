-- locate: where a live job waits, and how many others start before it; until when a running one is leased.
--- @args id
--- @reply place, label, ahead, until_ms
-- place  'ready', 'parked', 'running' or 'other'
-- label  of a parked job, that of its list (include/parking.lua)
-- ahead  of a ready job, how many ready jobs stand before it; -1 if it is far from both ends of a long list, and of
--        others
-- until_ms  of a running job, when its lease lapses; -1 of others
-- reply  nil if there is no record
-- cost   O(n) of a ready job in those from the nearer end of its priority, MAX_LOOKED from each end at most
--- @include records
--- @include parking
--- @include place
--- @include gone
local NEAR, MAX_LOOKED = 1000, 50000

-- Where an id stands in a list, from 0 on; nil unless it is among the first or the last MAX_LOOKED.
local function position_of(key, id)
  for _, most in ipairs({NEAR, MAX_LOOKED}) do
    local at = redis.call('LPOS', key, id, 'MAXLEN', most) or redis.call('LPOS', key, id, 'RANK', -1, 'MAXLEN', most)
    if at then
      return at
    end
  end
  return nil
end

local head = heads_of(q, {id})[1]
if not head then
  return false
end
local priority = priority_of(head)
local place, run = place_of(q, id, head)
if place == 'running' then
  local member = string.match(run, '^%d+') .. ':' .. priority .. ':' .. id
  local lapses = redis.call('ZSCORE', q.leased, member)
  return {'running', '', -1, tonumber(lapses or -1)}
elseif is_readable(head) and is_ended(head) or place ~= 'ready' then
  return {'other', '', -1, -1}
elseif is_readable(head) and is_parked(head) then
  return {'parked', label_of(head), -1, -1}
end
local ahead = position_of(q.ready[priority], id)
if not ahead then
  return {redis.call('LLEN', q.ready[priority]) > 2 * MAX_LOOKED and 'ready' or 'other', '', -1, -1}
end
-- Entries that are gone stand anywhere; most that stand before the job do so in the lists before.
for before = 0, priority - 1 do
  ahead = ahead + redis.call('LLEN', q.ready[before]) - whole_in(redis.call('HGET', q.cfg, gone_total(before)))
end
return {'ready', '', math.max(0, ahead), -1}
