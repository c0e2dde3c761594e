--[[
Take an amount out of what is available on every account of a key's context, or on none.

KEYS    1 hold   2 due   3 key   4… accounts, in the order in which they may refuse
ARGV    1 hold id   2 owner   3 key id   4 key revision   5 amount_nano   6 deadline_ms   7 record
        8 MAX_ACCOUNT_NANO   9 how many holds of the key may be live
        10… for each account: what it answers when it has too little, and its limit where it has none of its own
Output  { outcome, limit, held, used }, the sums being those of the account that refused, where one did
        In order of precedence: exists, exists_different, key_disabled, key_stale, concurrency, ARGV[10…], held

An unlimited account ends at MAX_ACCOUNT_NANO, up to which Lua's doubles are exact. An amount of 0 needs nothing
available. Sums are handed back as Redis keeps them, never as Lua would print them. The key counts its live holds.
--]]

local HELD = 1
local UNLIMITED = '-1'

local amount = tonumber(ARGV[5])

local function answer(outcome, ...)
  return { outcome, ... }
end

local known = redis.call('HMGET', KEYS[1], 'state', 'amount', 'key')
if known[1] then
  if tonumber(known[1]) == HELD and tonumber(known[2]) == amount and known[3] == ARGV[3] then
    return answer('exists')
  end
  return answer('exists_different')
end

local key = redis.call('HMGET', KEYS[3], 'status', 'revision', 'live')
if key[1] ~= 'active' then
  return answer('key_disabled')
end
if key[2] ~= ARGV[4] then
  return answer('key_stale')
end
if tonumber(key[3] or 0) >= tonumber(ARGV[9]) then
  return answer('concurrency')
end

local accounts = {}
for i = 4, #KEYS do
  local sums = redis.call('HMGET', KEYS[i], 'limit', 'held', 'used')
  local shortfall, default = ARGV[2 * i + 2], ARGV[2 * i + 3]
  local limit, held, used = sums[1] or default, sums[2] or '0', sums[3] or '0'
  if limit == UNLIMITED then
    limit = ARGV[8]
  end
  if amount > 0 and amount > tonumber(limit) - tonumber(held) - tonumber(used) then
    return answer(shortfall, limit, held, used)
  end
  accounts[#accounts + 1] = KEYS[i]
end

-- After this point the hold must succeed.
redis.call('HSET', KEYS[1], 'state', HELD, 'owner', ARGV[2], 'key', ARGV[3], 'live_on', KEYS[3], 'amount', ARGV[5],
  'deadline', ARGV[6], 'accounts', cjson.encode(accounts), 'record', ARGV[7])
redis.call('HINCRBY', KEYS[3], 'live', 1)
redis.call('ZADD', KEYS[2], ARGV[6], ARGV[1])
for _, account in ipairs(accounts) do
  redis.call('HINCRBY', account, 'held', ARGV[5])
end
return answer('held')
