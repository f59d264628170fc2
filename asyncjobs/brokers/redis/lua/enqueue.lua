-- enqueue: accept new jobs; one whose id is known already is left as it is.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base, then for each job: id, when, record
--        when: '' now, '+ms' that long from now by the server's clock, '@ms' at that Unix time
-- reply  a string of '1' (new) and '0' (known), one a job
-- cost   O(1) a job, O(log n) a scheduled one
--- @include queue
--- @include clock
--- @include bell
--- @include timer
--- @include header
local q = open_queue(1, ARGV[1])
local keys = {}
for i = 2, #ARGV, 3 do
  keys[#keys + 1] = job_key(q, ARGV[i])
end
local known = redis.call('MGET', unpack(keys))
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
local earliest = earliest_due(q)

local records, ready, later, first_due, seen, reply = {}, {}, {}, nil, {}, {}
for n, key in ipairs(keys) do
  local id, when, record = ARGV[n * 3 - 1], ARGV[n * 3], ARGV[n * 3 + 1]
  if known[n] or seen[id] then
    reply[n] = '0'
  else
    reply[n] = '1'
    seen[id] = true
    records[#records + 1] = key
    records[#records + 1] = record
    local due = now
    if when ~= '' then
      local mark = string.sub(when, 1, 1)
      due = tonumber(string.sub(when, 2)) + (mark == '+' and now or 0)
    end
    local priority = priority_of(record)
    if due > now then
      later[#later + 1] = due
      later[#later + 1] = priority .. ':' .. id
      first_due = math.min(first_due or due, due)
    else
      ready[priority] = ready[priority] or {}
      table.insert(ready[priority], id)
    end
  end
end

if #records > 0 then
  redis.call('MSET', unpack(records))
  for priority, ids in pairs(ready) do
    redis.call('RPUSH', q.ready[priority + 1], unpack(ids))
  end
  if next(ready) then
    ring(q)
  end
  if #later > 0 then
    redis.call('ZADD', q.scheduled, unpack(later))
    reset_timer(q, earliest, first_due)
  end
end
return table.concat(reply)
