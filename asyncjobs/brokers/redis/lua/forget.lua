-- forget: forget a job that has ended, whose result was read. Not a dead one, which is for an operator to delete.
--- @args id
-- reply  1 (forgotten) or 0 (there is none, or it has not ended)
-- cost   O(1)
--- @include records
--- @include header
--- @include forget
--- @include unique
local head = heads_of(q, {id})[1]
if not (head and is_readable(head) and is_ended(head)) then
  return 0
end
local keys = keys_left(q, {id}, {head})
forget_all(q, {id})
remove_fields(q.unique, keys)
return 1
