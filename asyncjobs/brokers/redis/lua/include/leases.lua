-- Takes leases (fence:priority:id) away, and with each the mark that its run is to be cancelled.
local function end_leases(q, members)
  redis.call('ZREM', q.leased, unpack(members))
  redis.call('HDEL', q.cancels, unpack(members))
end
