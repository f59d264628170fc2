-- What a send does that meets the holders of unique keys. `rules`: {mode, within, at_most} one a job; the mode is
-- ''  for a job that isn't unique   'e'  to keep the holder until its end   's'  until its first attempt starts
-- 'E', 'S'  as those, but the holder is given the new record while it waits for its first attempt
-- 'd'  as 'S', and a holder that isn't due is put off, to no more than `at_most` ms after it was sent, 0 for no limit
--- @include unique
--- @include due
--- @include ready
--- @include parking
--- @include flow
local UNTIL_START = {s = true, S = true, d = true}
local REPLACES = {E = true, S = true, d = true}

-- A holder as it stands: 'waits' for its first attempt, has 'begun', has 'completed' or expired, or is 'void', since it
-- was cancelled or is dead.
local function standing_of(q, id, head)
  if head == '' then
    return 'completed'
  elseif is_ended(head) then
    return has_completed(head) and 'completed' or 'void'
  elseif redis.call('ZSCORE', q.dead, id) then
    return 'void'
  end
  local has_begun = redis.call('HEXISTS', q.fences, id) == 1 or redis.call('HEXISTS', q.tries, id) == 1
  return has_begun and 'begun' or 'waits'
end

local function read_stored(q, key, stored)
  local id, until_ms, sent_at = read_holder(stored)
  if not id then
    return nil
  end
  local head = redis.call('GETRANGE', job_key(q, id), 0, MAX_HEADER - 1)
  -- After the holder has expired, a job without this key may have its id.
  head = head ~= '' and unique_key_of(head) == key and head or ''
  return {id = id, until_ms = until_ms, sent_at = sent_at, head = head, standing = standing_of(q, id, head)}
end

local function holds(holder, rule, now)
  return holder.standing == 'waits'
    or (holder.standing == 'begun' and not UNTIL_START[rule.mode])
    or (holder.standing ~= 'void' and holder.until_ms > now)
end

-- A new record in the place of another: the kind and the priority say where the job is.
local function in_place_of(head, record)
  return string.sub(record, 1, 1) .. string.sub(head, 2, 3) .. string.sub(record, 4)
end

-- Puts a holder off, if it isn't due.
local function put_off_again(q, met, holder, rule, due)
  local priority = priority_of(holder.head)
  if redis.call('ZSCORE', q.scheduled, scheduled_member(priority, holder.id)) then
    put_off(met.dues, rule.at_most > 0 and math.min(due, holder.sent_at + rule.at_most) or due, priority, holder.id)
  end
end

-- A holder that is ready, and is given a record of another line, goes to the back of that one; of several such records
-- the last one counts, also if it is of the line in which the holder was.
local function move_to_line(q, met, now, holder, record)
  local key, priority = line_of(record), priority_of(holder.head)
  if line_of(holder.head) == key and not met.moves[holder.id] then
    return
  elseif is_parked(holder.head) or redis.call('ZSCORE', q.scheduled, scheduled_member(priority, holder.id)) then
    if key ~= '' then
      met.flow = met.flow or read_flow(q, now)
      note_kind(met.flow, key)
    end
    return
  end
  met.move_count = met.move_count + 1
  met.moves[holder.id] = {
    id = holder.id, where = list_of(holder.head), key = key, priority = priority, number = met.move_count,
  }
end

-- Looks who holds the keys of jobs that are sent; reads only. `known` has the records of ids that are known.
--   ids       number of a job -> the id of the holder of its key
--   entries   key, holder, … of jobs that hold their keys from now on
--   changed   id of a holder -> its new record    dues  as make_due takes them
--   earliest  as make_due takes it    moves  id of a holder -> {id, where, key, priority, number}: it leaves a
--             list for a line, in the order of the numbers
--   flow      what that changes in the lines, for admit; nil for nothing
-- A holder that is sent in the same call is given its new record in `records`.
local function meet_holders(q, now, ids, records, whens, rules, known)
  local met = {ids = {}, entries = {}, changed = {}, dues = {}, moves = {}, move_count = 0, waiting = {}}
  local keys, at, holders, is_new = {}, {}, {}, {}
  for n, rule in ipairs(rules) do
    if rule.mode ~= '' then
      keys[#keys + 1] = unique_key_of(records[n])
      at[n] = #keys
    end
  end
  local stored = values_of(q.unique, keys)
  for n, id in ipairs(ids) do
    local key, rule = at[n] and keys[at[n]], rules[n]
    local holder = key and (holders[key] or read_stored(q, key, stored[at[n]]))
    if known[n] or is_new[id] then
      holder = nil
    elseif holder and holds(holder, rule, now) then
      holders[key], met.ids[n] = holder, holder.id
      if REPLACES[rule.mode] and holder.standing == 'waits' then
        local record = in_place_of(holder.head, records[n])
        if holder.number then
          records[holder.number] = record
        else
          met.changed[holder.id] = record
          move_to_line(q, met, now, holder, record)
          if rule.mode == 'd' then
            put_off_again(q, met, holder, rule, time_given(whens[n], now))
          end
        end
      end
    else
      is_new[id] = true
      if key then
        local until_ms = rule.within > 0 and now + rule.within or 0
        holders[key] = {
          id = id, until_ms = until_ms, sent_at = now, head = records[n], standing = 'waits', number = n,
        }
        met.entries[#met.entries + 1] = key
        met.entries[#met.entries + 1] = write_holder(id, until_ms, now)
      end
    end
  end
  met.earliest = met.dues[1] and earliest_due(q)
  local moves = {}
  for _, move in pairs(met.moves) do
    moves[#moves + 1] = move
  end
  table.sort(moves, function(one, other)
    return one.number < other.number
  end)
  for _, move in ipairs(moves) do
    if move.key == '' then
      line_up(met.waiting, move.priority, move.id)
    else
      met.flow = met.flow or read_flow(q, now)
      enter_line(met.flow, move.priority, move.key, move.id)
    end
  end
  return met
end

local function write_met(q, met)
  for id, record in pairs(met.changed) do
    redis.call('SET', job_key(q, id), record)
  end
  for id, move in pairs(met.moves) do
    add_gone(q, move.where, id)
    count_left(q, move.where)
  end
  make_ready(q, met.waiting)
  if met.dues[1] then
    make_due(q, met.dues, met.earliest)
  end
  for first = 1, #met.entries, PART do
    redis.call('HSET', q.unique, unpack(met.entries, first, math.min(first + PART - 1, #met.entries)))
  end
end
