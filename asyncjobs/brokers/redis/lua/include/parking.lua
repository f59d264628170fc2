-- What may not be claimed for now: labels that are held, and jobs that are set aside ("parked"), a list a label.
-- A label is HELD_QUEUE, or a job name behind BY_NAME, or a tenant behind BY_TENANT, or behind BY_VERSION a version of
-- asyncjobs that can't read the jobs. A msgpack array in cfg names those that are held; the hash `parked` says since
-- when there are jobs in the list of a label.
--- @include header
--- @include lines

-- While jobs are unparked in several calls, no job is claimed until this long after the last of them: cfg says until
-- when.
local UNPARKING_MS = 2000

-- Whether they are; a time further ahead is from before the clock was set back.
local function is_unparking(stored, now)
  local left = whole_in(stored) - now
  return left > 0 and left <= UNPARKING_MS
end

-- The labels that are held, as a set; nil where nothing is.
local function read_held(packed)
  if not packed then
    return nil
  end
  local held = {}
  for _, label in ipairs(cmsgpack.unpack(packed)) do
    held[label] = true
  end
  return held
end

-- Whether the jobs of a list may run on a worker that knows the names `is_known`, nil for any; `held` as of read_held.
local function is_startable(label, held, is_known)
  if held and held[label] then
    return false
  end
  local name = string.match(label, '^' .. BY_NAME .. '(.*)$')
  local unread = string.match(label, '^' .. BY_VERSION .. '(%d+)$')
  return (not name or not is_known or is_known[name] or false) and (not unread or tonumber(unread) < VERSION)
end

-- Notes how often workers that may not take parked jobs still pass the wake-up token on.
local function set_passes(q, count)
  redis.pcall('HSET', q.cfg, 'passes', count)
end

-- The label of the list that a parked job is in.
local function label_of(record)
  local kind = kind_of(record)
  if is_version(kind) then
    return BY_VERSION .. kind
  end
  return kind == PARKED_BY_TENANT and BY_TENANT .. tenant_of(record) or BY_NAME .. name_of(record)
end

-- The list that a live job is in which is neither scheduled nor leased: a label, its line, or its priority.
local function list_of(record)
  if is_parked(record) then
    return label_of(record)
  end
  local key = line_of(record)
  return key == '' and priority_of(record) or line_where(priority_of(record) .. ':' .. key)
end

-- The key of that list.
local function list_key(q, where)
  if type(where) == 'number' then
    return q.ready[where]
  end
  return is_line(where) and q.base .. where or parked_jobs_key(q, where)
end
