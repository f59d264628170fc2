-- What may not be claimed for now: labels that are held, and jobs that are set aside ("parked"), a list a label.
-- A label is HELD_QUEUE, or a job name behind BY_NAME, or a tenant behind BY_TENANT, or behind BY_VERSION a version of
-- asyncjobs that can't read the jobs. A msgpack array in cfg names those that are held; the hash `parked` says since
-- when there are jobs in the list of a label.
--- @include bell
--- @include header

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

-- A worker that gets the wake-up token and doesn't know the parked jobs passes it on, for so many times after a job was
-- parked: another one that waits may know them.
local MAX_PASSES = 16

local function let_pass_on(q)
  redis.pcall('HSET', q.cfg, 'passes', MAX_PASSES)
end

-- Passes the token on, and returns whether it may.
local function pass_on(q)
  local left = whole_in(redis.call('HGET', q.cfg, 'passes'))
  if left > 0 then
    begin_writes(q)
    redis.call('HSET', q.cfg, 'passes', left - 1)
    ring(q)
  end
  return left > 0
end

-- The label of the list that a parked job is in.
local function label_of(record)
  local kind = kind_of(record)
  if is_version(kind) then
    return BY_VERSION .. kind
  end
  return kind == PARKED_BY_TENANT and BY_TENANT .. tenant_of(record) or BY_NAME .. name_of(record)
end

-- The list that a live job is in which is neither scheduled nor leased: a label, or its priority.
local function list_of(record)
  return is_parked(record) and label_of(record) or priority_of(record)
end
