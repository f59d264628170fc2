-- What may not be claimed for now: labels that are held, and jobs that are set aside ("parked"), a list a label.
-- A label is HELD_QUEUE, or a job name behind BY_NAME, or a tenant behind BY_TENANT. A msgpack array in cfg names those
-- that are held; the hash `parked` says since when there are jobs in the list of a label.
--- @include header

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

-- The label of the list that a parked job is in.
local function label_of(record)
  return kind_of(record) == PARKED_BY_TENANT and BY_TENANT .. tenant_of(record) or BY_NAME .. name_of(record)
end

-- The list that a live job is in which is neither scheduled nor leased: a label, or its priority.
local function list_of(record)
  return is_parked(record) and label_of(record) or priority_of(record)
end
