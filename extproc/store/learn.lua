--[[
Add what one worker learned to what all have learned on a day, and answer all of it.

KEYS    1 the day's sums
ARGV    1 how long they are kept, in seconds   2… field, number to add
Output  field, sum, field, sum …
--]]

for i = 2, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('HGETALL', KEYS[1])
