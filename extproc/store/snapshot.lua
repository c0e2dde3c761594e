--[[
Read one bucket as it is at one moment, for the audit. Writes nothing.

KEYS    1 due   2 usage log   3 carried sums   4… keys, then accounts, then the entries of wallets
ARGV    1 what the names of holds begin with   2 how many keys   3 how many accounts
Output  { position in the usage log, keys, accounts, positions in the entries, holds, carried sums }
        a position: the id of the last entry, 0-0 for none   a key: how many holds it counts as live
        an account: { limit, held, used }   a hold: { id, state, owner, key, amount, accounts }, as it is stored
        carried sums: field after field, each with what it has

The holds are named by what is stored, and are all in the slot of KEYS[1], together with which they are looked at: an
error while the slot moves to another node of a Redis Cluster and they are apart.
--]]

local function position(stream)
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end

local keys, accounts, entries, holds = {}, {}, {}, {}
local last_key = 3 + tonumber(ARGV[2])
local last_account = last_key + tonumber(ARGV[3])
for i = 4, last_key do
  keys[#keys + 1] = redis.call('HGET', KEYS[i], 'live') or '0'
end
for i = last_key + 1, last_account do
  accounts[#accounts + 1] = redis.call('HMGET', KEYS[i], 'limit', 'held', 'used')
end
for i = last_account + 1, #KEYS do
  entries[#entries + 1] = position(KEYS[i])
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  redis.call('EXISTS', KEYS[1], ARGV[1] .. id)
  local hold = redis.call('HMGET', ARGV[1] .. id, 'state', 'owner', 'key', 'amount', 'accounts')
  table.insert(hold, 1, id)
  holds[#holds + 1] = hold
end
return { position(KEYS[2]), keys, accounts, entries, holds, redis.call('HGETALL', KEYS[3]) }
