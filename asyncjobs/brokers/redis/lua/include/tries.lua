-- What a job has been through, "failures:deaths:errors" (core/envelope.py).
local function read_tries(stored)
  local failures, deaths, errors = string.match(stored or '', '^(%d+):(%d+):(.*)$')
  return tonumber(failures) or 0, tonumber(deaths) or 0, errors or ''
end

local function write_tries(failures, deaths, errors)
  return failures .. ':' .. deaths .. ':' .. errors
end

-- The msgpack array `errors` with one more: type, message, no traceback, attempt, time.
local function add_error(errors, kind, message, attempt, now)
  local list = errors ~= '' and cmsgpack.unpack(errors) or {}
  list[#list + 1] = {kind, message, '', attempt, now}
  return cmsgpack.pack(list)
end
