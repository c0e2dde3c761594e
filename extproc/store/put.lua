--[[
Put a record in place of the revision it replaces, set the limits that follow from it, and say who did so.

KEYS    1 record   2 the ids of its kind   3 the log of changes   4… accounts
ARGV    1 id   2 revision   3 the revision it replaces, 0 for a new record   4 status   5 record (JSON)
        6 the digests that belong to it (JSON), of which the log is told nothing
        7 what was done   8 whose it is   9 who did it   10 now_ms
        11 the mark of this put, by which it is known when it comes again
        12… for each account `set` or `open`, and its limit: to be set in any case, or only where there is none yet
Output  1 stored, now or before   0 another revision is there, so that an edit made meanwhile is not lost
--]]

local known = redis.call('HMGET', KEYS[1], 'revision', 'record', 'mark')
if known[1] == ARGV[2] and known[3] == ARGV[11] then
  return 1
end
if (known[1] or '0') ~= ARGV[3] then
  return 0
end

-- After this point it must be stored.
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'status', ARGV[4], 'record', ARGV[5], 'digests', ARGV[6],
  'mark', ARGV[11])
redis.call('SADD', KEYS[2], ARGV[1])
for i = 4, #KEYS do
  if ARGV[2 * i + 4] == 'set' then
    redis.call('HSET', KEYS[i], 'limit', ARGV[2 * i + 5])
  else
    redis.call('HSETNX', KEYS[i], 'limit', ARGV[2 * i + 5])
  end
end
redis.call('XADD', KEYS[3], '*', 'at', ARGV[10], 'who', ARGV[9], 'what', ARGV[7], 'owner', ARGV[8], 'of', ARGV[1],
  'before', known[2] or '', 'after', ARGV[5])
return 1
