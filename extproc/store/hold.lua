--[[
Take an amount out of what is available on every account of a key's context, or on none.

KEYS    1 hold   2 due   3 key   4 owner   5… accounts, in the order in which they may refuse
ARGV    1 hold id   2 owner   3 key id   4 key revision   5 amount_nano   6 deadline_ms   7 record
        8 MAX_ACCOUNT_NANO   9 how many holds of the key may be live   10 now_us   11 WINDOW_US
        12 requests_us   13 tokens_us: what this request puts into the buckets of the key's minute, 0 without a limit
        14 owner revision, 0 for an owner of whom nothing was ever said
        15… for each account: what it answers when it has too little, and its limit where it has none of its own
Output  { outcome, when the bucket of requests will be empty, when that of tokens, in µs, limit, held, used }
        The sums are those of the account that refused, where one did
        In order of precedence:
        exists, exists_different, key_disabled, key_stale, concurrency, requests_per_minute, tokens_per_minute, ARGV[15…], held

An unlimited account ends at MAX_ACCOUNT_NANO, up to which Lua's doubles are exact, as they are for microseconds. An
amount of 0 needs nothing available. Sums are handed back as Redis keeps them, never as Lua would print them. The key
counts its live holds, and remembers when its buckets will be empty.
--]]

local HELD = 1
local UNLIMITED = '-1'

local amount, now_us, window_us = tonumber(ARGV[5]), tonumber(ARGV[10]), tonumber(ARGV[11])
local requests_us, tokens_us = tonumber(ARGV[12]), tonumber(ARGV[13])

local key = redis.call('HMGET', KEYS[3], 'status', 'revision', 'live', 'requests_empty', 'tokens_empty')
local requests_empty, tokens_empty = key[4] or '0', key[5] or '0'

local function answer(outcome, ...)
  return { outcome, requests_empty, tokens_empty, ... }
end

local function overflows(empty, more)
  return more > 0 and math.max(tonumber(empty) - now_us, 0) + math.min(more, window_us) > window_us
end

local function filled(empty, more)
  return string.format('%.0f', math.max(tonumber(empty), now_us) + more)
end

local known = redis.call('HMGET', KEYS[1], 'state', 'amount', 'key')
if known[1] then
  if tonumber(known[1]) == HELD and tonumber(known[2]) == amount and known[3] == ARGV[3] then
    return answer('exists')
  end
  return answer('exists_different')
end

if key[1] ~= 'active' then
  return answer('key_disabled')
end
if key[2] ~= ARGV[4] or (redis.call('HGET', KEYS[4], 'revision') or '0') ~= ARGV[14] then
  return answer('key_stale')
end
if tonumber(key[3] or 0) >= tonumber(ARGV[9]) then
  return answer('concurrency')
end
if overflows(requests_empty, requests_us) then
  return answer('requests_per_minute')
end
if overflows(tokens_empty, tokens_us) then
  return answer('tokens_per_minute')
end

local accounts = {}
for i = 5, #KEYS do
  local sums = redis.call('HMGET', KEYS[i], 'limit', 'held', 'used')
  local shortfall, default = ARGV[2 * i + 5], ARGV[2 * i + 6]
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
if requests_us > 0 then
  requests_empty = filled(requests_empty, requests_us)
  redis.call('HSET', KEYS[3], 'requests_empty', requests_empty)
end
if tokens_us > 0 then
  tokens_empty = filled(tokens_empty, tokens_us)
  redis.call('HSET', KEYS[3], 'tokens_empty', tokens_empty)
end
redis.call('ZADD', KEYS[2], ARGV[6], ARGV[1])
for _, account in ipairs(accounts) do
  redis.call('HINCRBY', account, 'held', ARGV[5])
end
return answer('held')
