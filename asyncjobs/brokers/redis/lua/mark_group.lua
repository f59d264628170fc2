-- mark_group: note what is known of a group of the dead.
--- @args group, state, note
-- reply  1, or 0 if there is no such group
-- cost   O(1)
if redis.call('HEXISTS', groups_key(q, 'headings'), group) == 0 then
  return 0
end
redis.call('HDEL', groups_key(q, 'states'), group)
redis.call('HSET', groups_key(q, 'states'), group, state)
redis.call('HSET', groups_key(q, 'notes'), group, note)
return 1
