-- How many entries of a sorted set stand before this one, which may have gone meanwhile; with `inclusive`, up to it.
--- @include bytes
local function rank_of(key, score, member, inclusive)
  local low, high = redis.call('ZCOUNT', key, '-inf', '(' .. score), redis.call('ZCOUNT', key, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local there = redis.call('ZRANGE', key, middle, middle)[1]
    if is_before(there, member) or (inclusive and there == member) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end
