-- What is suspended: a msgpack array in cfg of 'n<name>' and 't<tenant>'; nil in a queue where nothing is.
local function read_suspended(packed)
  local found = {}
  if packed then
    for _, entry in ipairs(cmsgpack.unpack(packed)) do
      found[entry] = true
    end
  end
  return found
end
