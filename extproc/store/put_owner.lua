--[[
Store what is said of an owner, or its next revision.

KEYS    1 owner
ARGV    1 revision   2 the revision it replaces, 0 where nothing was said before   3 record
Output  1 stored, now or before   0 another revision is there, so that an edit made meanwhile is not lost
--]]

local known = redis.call('HMGET', KEYS[1], 'revision', 'record')
if known[2] == ARGV[3] then
  return 1
end
if (known[1] or '0') ~= ARGV[2] then
  return 0
end

-- After this point it must be stored.
redis.call('HSET', KEYS[1], 'revision', ARGV[1], 'record', ARGV[3])
return 1
