--[[
Remove entries from a usage log, and carry what they charged, so that the log and what is carried add up as before.

KEYS    1 usage log   2 carried sums
ARGV    of each entry: its position, its cost_nano, how many accounts were charged, and each of these as it is carried
Output  how many were removed

An entry that is not there any more was removed, and carried, before. `entries` counts those that were removed: who
reads the log meanwhile sees by it that some are missing.
--]]

local at, removed = 1, 0
while at <= #ARGV do
  local cost, last = ARGV[at + 1], at + 2 + ARGV[at + 2]
  if redis.call('XDEL', KEYS[1], ARGV[at]) == 1 then
    removed = removed + 1
    for account = at + 3, last do
      redis.call('HINCRBY', KEYS[2], ARGV[account], cost)
    end
  end
  at = last + 1
end
if removed > 0 then
  redis.call('HINCRBY', KEYS[2], 'entries', removed)
end
return removed
