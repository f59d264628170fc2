-- Whether a text comes before another by their bytes, as in a sorted set. `<` goes by the collation of the server's
-- locale, in which 'a' comes before 'B': it serves only where any order of the texts will do.
local function is_before(one, other)
  for n = 1, math.min(#one, #other) do
    local byte, other_byte = string.byte(one, n), string.byte(other, n)
    if byte ~= other_byte then
      return byte < other_byte
    end
  end
  return #one < #other
end
