--[[
Put money into a wallet, once per reference.

KEYS    1 wallet   2 references   3 the wallet's entries
ARGV    1 amount_nano, positive   2 reference   3 now_ms   4 MAX_ACCOUNT_NANO
Output  { outcome, limit_nano }, the limit being the one after the first top-up with this reference
        In order of precedence: repeated, over_maximum, topped_up
--]]

local UNLIMITED = -1

local function answer(outcome, limit)
  return { outcome, limit }
end

local first = redis.call('HGET', KEYS[2], ARGV[2])
if first then
  return answer('repeated', first)
end
local limit = tonumber(redis.call('HGET', KEYS[1], 'limit') or 0)
if limit == UNLIMITED or limit + tonumber(ARGV[1]) > tonumber(ARGV[4]) then
  return answer('over_maximum', limit)
end

-- After this point the top-up must succeed.
local topped_up = string.format('%.0f', limit + tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'limit', topped_up)
redis.call('HSET', KEYS[2], ARGV[2], topped_up)
redis.call('XADD', KEYS[3], '*', 'reference', ARGV[2], 'amount', ARGV[1], 'limit', topped_up, 'at', ARGV[3])
return answer('topped_up', topped_up)
