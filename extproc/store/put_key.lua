--[[
Store a key or its next revision, open its account with its cap, and see that the accounts of its context are open.

KEYS    1 key   2 the key's account   3 wallet   4 the owner's keys   5… quotas, without a limit until one is set
ARGV    1 key id   2 status   3 revision   4 the revision it replaces, 0 for a new key   5 record   6 limit_nano
Output  1 stored, now or before   0 another revision is there, so that an edit made meanwhile is not lost
--]]

local known = redis.call('HMGET', KEYS[1], 'revision', 'record')
if known[2] == ARGV[5] then
  return 1
end
if (known[1] or '0') ~= ARGV[4] then
  return 0
end

-- After this point the key must be stored.
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'revision', ARGV[3], 'record', ARGV[5])
redis.call('HSET', KEYS[2], 'limit', ARGV[6])
redis.call('HSETNX', KEYS[3], 'limit', 0)
redis.call('SADD', KEYS[4], ARGV[1])
for i = 5, #KEYS do
  redis.call('HSETNX', KEYS[i], 'limit', -1)
end
return 1
