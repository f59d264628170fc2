-- What a job has been through, "failures:deaths:errors" (core/envelope.py).
local function read_tries(stored)
  local failures, deaths, errors = string.match(stored or '', '^(%d+):(%d+):(.*)$')
  return whole_in(failures), whole_in(deaths), errors or ''
end

local function write_tries(failures, deaths, errors)
  return failures .. ':' .. deaths .. ':' .. errors
end

-- The msgpack array `errors` with one more: type, message, no traceback, attempt, its end, and its beginning where it
-- has begun, with the worker. Damaged errors are left out.
local function add_error(errors, kind, message, attempt, now, started_at, worker)
  local is_read, list = pcall(cmsgpack.unpack, errors)
  if not is_read or type(list) ~= 'table' then
    list = {}
  end
  list[#list + 1] = {kind, message, '', attempt, now, started_at, worker}
  return cmsgpack.pack(list)
end
