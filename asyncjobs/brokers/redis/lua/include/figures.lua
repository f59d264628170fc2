-- What a script enters into counters and histories: gathered first, then written at once. Where that is refused, since
-- a counter is none or a key holds another type, it is left out.

-- counts: those of jobs without a tenant; tenants: tenant -> its counts; each history is a list of entries.
local function new_figures()
  return {counts = {}, tenants = {}, histories = {}, tenant_histories = {}}
end

-- The counts that a job of `tenant` adds to, '' for none.
local function counts_of(figures, tenant)
  if tenant == '' then
    return figures.counts
  end
  local counts = figures.tenants[tenant]
  if not counts then
    counts = {}
    figures.tenants[tenant] = counts
  end
  return counts
end

local function add(counts, field, number)
  counts[field] = (counts[field] or 0) + number
end

local function append(lists, which, entry)
  local list = lists[which]
  if list then
    list[#list + 1] = entry
  else
    lists[which] = {entry}
  end
end

-- Notes the end of a job: `entry` is a packed core/settlement.py HistoryEntry, in the order of the ends.
local function enter(figures, name, tenant, entry)
  append(figures.histories, name, entry)
  if tenant ~= '' then
    append(figures.tenant_histories, tenant, entry)
  end
end

local function write_history(key, entries, length)
  redis.pcall('LPUSH', key, unpack(entries, math.max(1, #entries - length + 1)))
  redis.pcall('LTRIM', key, 0, length - 1)
  redis.pcall('PEXPIRE', key, HISTORY_KEEP_MS)
end

-- Adds the counts to the totals of their tenants, which are listed by the minute of that, and all of them to those of
-- the queue and of this minute.
local function write_counts(q, figures, now)
  local totals, this_minute = figures.counts, math.floor(now / MINUTE_MS)
  for tenant, counts in pairs(figures.tenants) do
    local key = tenant_stats_key(q, tenant)
    for field, number in pairs(counts) do
      redis.pcall('HINCRBY', key, field, number)
      add(totals, field, number)
    end
    redis.pcall('PEXPIRE', key, HISTORY_KEEP_MS)
    redis.pcall('ZADD', q.tenant_ends, this_minute, tenant)
  end
  if next(totals) then
    local minute = minute_key(q, this_minute)
    for field, number in pairs(totals) do
      redis.pcall('HINCRBY', q.stats, field, number)
      if string.sub(field, 1, 2) ~= 'h:' then
        redis.pcall('HINCRBY', minute, field, number)
      end
    end
    redis.pcall('PEXPIRE', minute, MINUTES_KEEP_MS)
  end
end

local function write_figures(q, figures, now)
  write_counts(q, figures, now)
  for name, entries in pairs(figures.histories) do
    write_history(name_history_key(q, name), entries, MAX_HISTORY)
  end
  for tenant, entries in pairs(figures.tenant_histories) do
    write_history(tenant_history_key(q, tenant), entries, MAX_TENANT_HISTORY)
  end
end
