--[[
Report how a request ended: lift its hold to a higher state, give back what was held, charge what is not charged yet.

KEYS    1 hold   2 due   3 usage log   4… accounts to charge
ARGV    1 hold id   2 owner   3 state   4 cost_nano   5 now_ms   6 remembered_ms: a repetition after this cannot be told
        7 forget_ms: when the hold may be forgotten   8 deadline_ms   9 reporter   10 record   11 MAX_ACCOUNT_NANO
        12 tokens_back_us: what the bucket of the key's tokens gets back with the hold
Output  { outcome, state, charged_nano, late, before, more_nano }: as they are after the report, the state before it,
        and what it charged
        In order of precedence:
        too_late, unchanged, disagrees, over_maximum, ended

What was held goes back to the accounts it was taken from, which the hold itself remembers. The cost is charged to the
accounts of the report, for there may be no hold. A correction is a new entry with the difference, perhaps negative.
No charge takes an account beyond MAX_ACCOUNT_NANO, so that every sum stays exact: over_maximum, and nothing changes.

What only the hold names is looked at before anything is written: while its slot moves to another node of a Redis
Cluster, a name that is not here is an error, and the whole is tried again.
--]]

local ABSENT = 0
local HELD = 1
local EXPIRED = 2

local state, cost, maximum = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[11])

local function exact(number)
  return string.format('%.0f', number)
end

local known = redis.call('HMGET', KEYS[1], 'state', 'cost', 'amount', 'accounts', 'live_on')
local before = tonumber(known[1] or ABSENT)
local charged = tonumber(known[2] or 0)
local late = (before == ABSENT or before == EXPIRED) and 1 or 0
local more = cost - charged
local was, taken = before, 0

local function answer(outcome)
  return { outcome, before, charged, late, was, taken }
end

if before == ABSENT and tonumber(ARGV[5]) > tonumber(ARGV[6]) then
  return answer('too_late')
end
if state < before or (state == before and more == 0) then
  return answer('unchanged')
end
if state == before then
  return answer('disagrees')
end
for i = 4, #KEYS do
  if tonumber(redis.call('HGET', KEYS[i], 'used') or 0) + more > maximum then
    return answer('over_maximum')
  end
end
local held_on = before == HELD and cjson.decode(known[4]) or {}
local live_on = before == HELD and known[5]
if live_on then
  redis.call('EXISTS', live_on, unpack(held_on))
end

-- After this point the end must succeed.
if live_on then
  redis.call('HINCRBY', live_on, 'live', -1)
  if ARGV[12] ~= '0' then
    redis.call('HINCRBY', live_on, 'tokens_empty', exact(0 - ARGV[12]))
  end
end
for _, account in ipairs(held_on) do
  redis.call('HINCRBY', account, 'held', exact(0 - known[3]))
end
for i = 4, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'used', exact(more))
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], 'owner', 'accounts', 'live_on', 'record')
redis.call('HSET', KEYS[1], 'state', state, 'cost', ARGV[4], 'deadline', ARGV[8])
redis.call('PEXPIREAT', KEYS[1], ARGV[7])
redis.call('XADD', KEYS[3], '*', 'id', ARGV[1], 'owner', ARGV[2], 'state', state, 'reporter', ARGV[9],
  'cost', exact(more), 'late', late, 'at', ARGV[5], 'record', ARGV[10])
before, charged, taken = state, cost, more
return answer('ended')
