--[[
Make an entry in a wallet, once per reference: a top-up, a bonus, a refund or an adjustment. No entry is ever edited.

KEYS    1 wallet   2 references   3 the wallet's entries   4 the log of changes
ARGV    1 amount_nano, negative only to adjust downwards   2 reference   3 now_ms   4 MAX_ACCOUNT_NANO   5 kind
        6 reason   7 the request it is for, or nothing   8 what it answers when the entry was made
        9 who makes it   10 what the log of changes calls it   11 owner
        12 what the log has of it beside the limit: JSON without the brace it begins with
Output  { outcome, limit_nano }, the limit being the one after the first entry with this reference
        In order of precedence:
        repeated, over_maximum, below_zero, ARGV[8]

The limit is the sum of all entries. It stays at 0 or above: -1 would mean no limit.
--]]

local UNLIMITED = -1

local function answer(outcome, limit)
  return { outcome, limit }
end

local first = redis.call('HGET', KEYS[2], ARGV[2])
if first then
  return answer('repeated', first)
end
local known = redis.call('HGET', KEYS[1], 'limit') or '0'
local limit = tonumber(known) + tonumber(ARGV[1])
if tonumber(known) == UNLIMITED or limit > tonumber(ARGV[4]) then
  return answer('over_maximum', known)
end
if limit < 0 then
  return answer('below_zero', known)
end

-- After this point the entry must succeed.
limit = string.format('%.0f', limit)
redis.call('HSET', KEYS[1], 'limit', limit)
redis.call('HSET', KEYS[2], ARGV[2], limit)
redis.call('XADD', KEYS[3], '*', 'reference', ARGV[2], 'amount', ARGV[1], 'limit', limit, 'at', ARGV[3],
  'kind', ARGV[5], 'reason', ARGV[6], 'request', ARGV[7])
redis.call('XADD', KEYS[4], '*', 'at', ARGV[3], 'who', ARGV[9], 'what', ARGV[10], 'owner', ARGV[11], 'of', ARGV[11],
  'before', '{"limit_nano":' .. known .. '}', 'after', '{"limit_nano":' .. limit .. ',' .. ARGV[12])
return answer(ARGV[8], limit)
