-- A record's header by position (core/record/header.py): version, kind, priority, four lengths, then name, key, tenant
-- and extension. That of a later version is read the same way.
local LIVE, PARKED_BY_NAME, PARKED_BY_TENANT = '-', 'p', 't'
local MAX_HEADER = 7 + 4 * 255

local function header_size(record)
  local name, key, tenant, extension = string.byte(record, 4, 7)
  return 7 + name + key + tenant + extension
end

local function is_readable(record)
  local version, _, _, name, key, tenant, extension = string.byte(record, 1, 7)
  return extension ~= nil and version > 48 and version < 58 and #record >= 7 + name + key + tenant + extension
end

-- Whether a later version has written it, though its header may not be readable.
local function is_newer(record)
  local version = string.byte(record, 1)
  return #record >= 3 and version > 48 + VERSION and version < 58
end

local function kind_of(record)
  return string.sub(record, 2, 2)
end

-- Whether this kind is that of jobs which asyncjobs of a version, the digit, can't read.
local function is_version(kind)
  return string.find(kind, '^%d') ~= nil
end

local function is_parked(record)
  local kind = kind_of(record)
  return kind == PARKED_BY_NAME or kind == PARKED_BY_TENANT or is_version(kind)
end

local function is_ended(record)
  return kind_of(record) ~= LIVE and not is_parked(record)
end

-- Whether the job has completed with a result that may count for less time than the record is kept.
local function is_brief(record)
  return kind_of(record) == 'v'
end

-- Whether an ended job has completed.
local function has_completed(record)
  return kind_of(record) == 'c' or is_brief(record)
end

-- Stores the record of a job that has ended.
local function set_ended(key, record, keep_ms)
  redis.call('SET', key, record, 'PX', math.max(keep_ms, 1))
end

-- Marks the stored record of a live job as parked or not.
local function set_kind(key, kind)
  redis.call('SETRANGE', key, 1, kind)
end

-- The priority of any record, the lowest if it can't be read.
local function priority_of(record)
  local digit = string.byte(record, 3)
  return digit and digit >= 48 and digit <= 51 and digit - 48 or 3
end

local function set_priority(key, priority)
  redis.call('SETRANGE', key, 2, priority)
end

local function name_of(record)
  return string.sub(record, 8, 7 + string.byte(record, 4))
end

local function tenant_of(record)
  local size = string.byte(record, 6)
  local first = 8 + string.byte(record, 4) + string.byte(record, 5)
  return string.sub(record, first, first + size - 1)
end

-- The tenant of any record, '' if it has none or can't be read; of a record, its first MAX_HEADER bytes are enough.
local function tenant_in(record)
  return is_readable(record) and tenant_of(record) or ''
end

-- Whether the job must never be run twice: the letter e in the header's extension, which ends the header. What stands
-- behind a NUL there is no letter.
local function acks_early(record)
  local size = header_size(record)
  return string.find(string.sub(record, size + 1 - string.byte(record, 7), size), '^%Z*e') ~= nil
end

-- The record of a live job as cancelled, as core/stored.py writes it: the envelope's bytes stay as they are. One that
-- this version can't read is left out.
local function cancelled_record(record, reason, now)
  local head, envelope = '\0\0\0\0', '\128'
  if is_readable(record) then
    local size = header_size(record)
    local first = string.byte(record, size + 1) or 0
    head = string.sub(record, 4, size)
    if not is_newer(record) and (first <= VERSION or first > 31) then
      envelope = string.sub(record, size + 1)
    end
  end
  return VERSION .. 'x' .. priority_of(record) .. head .. '\131\161e' .. envelope
    .. '\161q' .. cmsgpack.pack(reason) .. '\161t' .. cmsgpack.pack(now)
end
