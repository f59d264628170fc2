-- schedule_fire: enqueue the jobs of ticks, each once however many workers ask: whoever comes second finds another tick.
-- KEYS   the fixed keys of the queue, schedules, ticks
-- ARGV   1 base, then for each schedule: id, the tick that is expected, the next one, the last that fires now or '',
--        how many jobs, and for each job: id, record
-- reply  {now, a string of '1' (fired) and '0' (not due yet, paused, or fired by another), one a schedule}
-- cost   O(log n) a schedule, O(1) a job
--- @include queue
--- @include clock
--- @include admit
--- @include schedules
local q = open_queue(1, ARGV[1])
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
local firings, jobs, reply = {}, {}, {}
local at = 2
while at <= #ARGV do
  local id, expected, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 4])
  local fires = expected <= now and tonumber(redis.call('ZSCORE', ticks, id)) == expected
  reply[#reply + 1] = fires and '1' or '0'
  if fires then
    firings[#firings + 1] = {id = id, next = ARGV[at + 2], last = ARGV[at + 3]}
    for n = 1, count do
      jobs[#jobs + 1] = ARGV[at + 3 + 2 * n]
      jobs[#jobs + 1] = ''
      jobs[#jobs + 1] = ARGV[at + 4 + 2 * n]
    end
  end
  at = at + 5 + 2 * count
end

admit(q, now, jobs)
for _, firing in ipairs(firings) do
  redis.call('ZADD', ticks, firing.next, firing.id)
  if firing.last ~= '' then
    redis.call('HSET', schedules, 'l:' .. firing.id, firing.last)
  end
end
return {now, table.concat(reply)}
