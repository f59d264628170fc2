-- ring: wake a worker if something is startable.
-- reply  1 if there is something
-- cost   O(1)
--- @include bell
for priority = 0, 3 do
  if redis.call('LLEN', q.ready[priority]) > 0 or redis.call('EXISTS', flow_key(q, 'turns:' .. priority)) == 1 then
    begin_writes(q)
    ring(q)
    return 1
  end
end
return 0
