--[[
Expire the holds of one bucket whose deadline has passed: what they held goes back, nothing is charged.

KEYS    1 due   2 usage log
ARGV    1 now_ms   2 at most so many   3 forget_ms: when they may be forgotten   4 what the names of holds begin with
        5 reporter
Output  the ids of the expired holds, by deadline

The holds and their accounts are named by what is stored, and are all in the slot of KEYS[1]. They are looked at before
anything is written: while the slot moves to another node of a Redis Cluster, a name that is not here is an error. Of one
name alone that is not so on the node it moves to, which finds nothing; so a hold is looked at together with KEYS[1].
--]]

local HELD = 1
local EXPIRED = 2

local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local expired, holds = {}, {}
for _, id in ipairs(ids) do
  redis.call('EXISTS', KEYS[1], ARGV[4] .. id)
  local hold = redis.call('HMGET', ARGV[4] .. id, 'state', 'amount', 'accounts', 'owner', 'record', 'live_on')
  if tonumber(hold[1] or 0) == HELD then
    local accounts = cjson.decode(hold[3])
    redis.call('EXISTS', hold[6], unpack(accounts))
    expired[#expired + 1] = id
    holds[#holds + 1] =
      { amount = hold[2], accounts = accounts, owner = hold[4], record = hold[5], live_on = hold[6] }
  end
end

-- After this point every expiry must succeed.
for i, hold in ipairs(holds) do
  redis.call('HINCRBY', hold.live_on, 'live', -1)
  for _, account in ipairs(hold.accounts) do
    redis.call('HINCRBY', account, 'held', string.format('%.0f', 0 - hold.amount))
  end
  local name = ARGV[4] .. expired[i]
  redis.call('HDEL', name, 'owner', 'accounts', 'live_on', 'record')
  redis.call('HSET', name, 'state', EXPIRED, 'cost', 0)
  redis.call('PEXPIREAT', name, ARGV[3])
  redis.call('XADD', KEYS[2], '*', 'id', expired[i], 'owner', hold.owner, 'state', EXPIRED, 'reporter', ARGV[5],
    'cost', 0, 'late', 0, 'at', ARGV[1], 'record', hold.record)
end
for _, id in ipairs(ids) do
  redis.call('ZREM', KEYS[1], id)
end
return expired
