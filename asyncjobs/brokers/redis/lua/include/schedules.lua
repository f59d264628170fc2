-- The keys of a queue's schedules, which come behind the fixed ones: a hash of `d:<id>` (its data) and `l:<id>` (the last
-- tick that fired), and a sorted set of ids by their next tick; one that is paused has none.
local schedules, ticks = KEYS[FIXED + 1], KEYS[FIXED + 2]
