-- enqueue: accept new jobs; one whose id is known already is left as it is.
-- KEYS   the fixed keys of the queue
-- ARGV   1 base, then for each job: id, when, record
--        when: '' now, '+ms' that long from now by the server's clock, '@ms' at that Unix time
-- reply  a string of '1' (new) and '0' (known), one a job
-- cost   O(1) a job, O(log n) a scheduled one
--- @include queue
--- @include clock
--- @include admit
local q = open_queue(1, ARGV[1])
local now = now_ms(redis.call('HGET', q.cfg, 'shift_ms'))
return table.concat(admit(q, now, {unpack(ARGV, 2)}))
