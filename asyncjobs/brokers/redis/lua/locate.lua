-- locate: where a live job waits, and how many others start before it; until when a running one is leased.
--- @args id
--- @reply place, label, ahead, until_ms, line, gate, groups_ahead, lines_ahead, now_ms
-- place  'ready', 'parked', 'running' or 'other'
-- label  of a parked job, that of its list (include/parking.lua)
-- ahead  of a ready job, how many ready jobs stand before it; -1 if it is far from both ends of a long list, and of
--        others
-- until_ms  of a running job, when its lease lapses; -1 of others
-- line   its key, '' for none    gate  for which the line waits, as of figures_of_gate, empty for none
-- groups_ahead, lines_ahead  how many groups, or lines that wait for the gate, are before its own, -1 where not known
-- reply  nil if there is no record
-- cost   O(n) of a ready job in those from the nearer end of its priority, MAX_LOOKED from each end at most
--- @include records
--- @include parking
--- @include place
--- @include gone
--- @include clock
--- @include gate_figures
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

-- How many groups of a priority that have a line in turn stand before this one.
local function groups_before(priority, group)
  return redis.call('ZRANK', flow_key(q, 'turns:' .. priority), group) or -1
end

-- Of a job in a line.
local function locate_in_line(priority, key)
  local now = now_ms(q)
  local flow = read_flow(q, now)
  local own = line_in(flow, priority, key)
  local field = own.field
  local ahead = position_of(line_key(q, field), id)
  ahead = ahead and math.max(0, ahead - (gone_counts(q)[line_where(field)] or 0)) or -1
  local gate = string.match(redis.call('HGET', flow_key(q, 'lines'), field) or '', '^w(.*)$')
  flow.own = '1'
  read_gates(q, flow, own.gates)
  local groups_ahead = gate and -1 or groups_before(priority, own.group)
  local lines_ahead = gate and redis.call('ZRANK', wait_key(q, gate), field) or -1
  for _, one in ipairs(own.gates) do
    -- A line in turn finds out at its next try.
    gate = gate or (room_at(one, field) < 1 and one.name or nil)
  end
  local figures = gate and figures_of_gate(q, flow, gate, read_waits(q), read_holders_of(q)) or {}
  return {'ready', '', ahead, -1, key, figures, groups_ahead, lines_ahead, now}
end

local head = heads_of(q, {id})[1]
if not head then
  return false
end
local line, priority = line_of(head), priority_of(head)
local place, run = place_of(q, id, head)
if place == 'running' then
  local member = string.match(run, '^%d+') .. ':' .. priority .. ':' .. id
  local lapses = redis.call('ZSCORE', q.leased, member)
  return {'running', '', -1, tonumber(lapses or -1), line, {}, -1, -1, 0}
elseif is_readable(head) and is_ended(head) or place ~= 'ready' then
  return {'other', '', -1, -1, line, {}, -1, -1, 0}
elseif is_readable(head) and is_parked(head) then
  return {'parked', label_of(head), -1, -1, line, {}, -1, -1, 0}
end
if line ~= '' then
  return locate_in_line(priority, line)
end
local ahead = position_of(q.ready[priority], id)
if not ahead then
  local is_far = redis.call('LLEN', q.ready[priority]) > 2 * MAX_LOOKED
  return {is_far and 'ready' or 'other', '', -1, -1, '', {}, -1, -1, 0}
end
-- Entries that are gone stand anywhere; most that stand before the job do so in the lists before.
for before = 0, priority - 1 do
  ahead = ahead + redis.call('LLEN', q.ready[before]) - whole_in(redis.call('HGET', q.cfg, gone_total(before)))
end
return {'ready', '', math.max(0, ahead), -1, '', {}, -1, -1, 0}
