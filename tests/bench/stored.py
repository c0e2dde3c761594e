"""A Redis with a million keys and live holds in half a minute: the scripts store number 0, the others are copies of it.

Whatever the scripts leave for number 0, written as `NUMBER` writes it, a copy has for its own number, in the bucket of
its owner. `test_stored.py` compares copies with what the scripts leave. So that a million take less than 3 GB, the
copies have no wallet entries (an empty stream takes 4.7 KB) and the holds no record: no verb reads either.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from extproc.core.identity import KeyRecord
from extproc.core.ledger import End, Hold, Outcome, State, bucket_of
from extproc.core.money import NANO_PER_USD
from extproc.core.quote import Quote
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.wire.codec import encode_record

NUMBER: Final = "{:012d}"
"""How a number is written wherever it appears: so long that no other text is taken for it."""

_AT_ONCE: Final = 200
_REHASH_SECONDS: Final = 120

_COPY: Final = """
-- ARGV 1 the number and 2 the hash tag to replace, 3 what to copy as { type, name, words }, then number and tag of each
local function copied(text, i)
  if text:find(ARGV[1], 1, true) then
    text = text:gsub(ARGV[1], ARGV[i])
  end
  if text:find(ARGV[2], 1, true) then
    text = text:gsub(ARGV[2], ARGV[i + 1])
  end
  return text
end
local write = {
  hash = function(name, words) redis.call('HSET', name, unpack(words)) end,
  string = function(name, words) redis.call('SET', name, words[1]) end,
  set = function(name, words) redis.call('SADD', name, unpack(words)) end,
  zset = function(name, words) redis.call('ZADD', name, unpack(words)) end,
}
for _, each in ipairs(cjson.decode(ARGV[3])) do
  for i = 4, #ARGV, 2 do
    local words = {}
    for place, word in ipairs(each[3]) do
      words[place] = copied(word, i)
    end
    write[each[1]](copied(each[2], i), words)
  end
end
"""

_REPEAT: Final = """
-- KEYS 1 a stream   ARGV 1 how often to add its last entry once more
local words = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][2]
for _ = 1, tonumber(ARGV[1]) do
  redis.call('XADD', KEYS[1], '*', unpack(words))
end
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """So many keys with a live hold each, all of one owner or each of its own, and so many entries in a usage log.

    With one owner all holds are in one bucket, whose sorted set has all their deadlines: the worst case.
    """

    keys: int = 1_000
    one_owner: bool = True
    log: int = 0

    def key(self, number: int) -> KeyRecord:
        """The key of this number."""
        digits = NUMBER.format(number)
        owner = "benchmark" if self.one_owner else f"owner-{digits}"
        return KeyRecord(f"key_{digits}", owner, "sk-example", "benchmark", "default")

    def hold(self, number: int, hold_id: str, quote: Quote) -> Hold:
        """A hold on the accounts of this key, as admit asks for it."""
        key = self.key(number)
        accounts = key.accounts("2026-11")
        record = encode_record(replace(quote, owner=key.owner, key_id=key.key_id, accounts=accounts))
        return Hold(
            hold_id,
            key.owner,
            key.key_id,
            key.revision,
            accounts,
            quote.hold_nano,
            quote.held_ms,
            quote.deadline_ms,
            record,
        )


def settlement(hold: Hold) -> End:
    """The hold's usage is reported: half of what was held. Its record is about as long as the quote's."""
    return End(
        hold.hold_id,
        hold.owner,
        hold.accounts,
        State.REPORTED,
        hold.amount_nano // 2,
        hold.now_ms,
        hold.deadline_ms,
        "trailers",
        hold.record,
    )


async def fill(redis: Connection, stored: Stored, quote: Quote) -> None:
    """Store all of it in an empty Redis."""
    await store(redis, stored, quote, 0)
    await copy(redis, stored, range(1, stored.keys))
    if stored.log:
        await _lengthen(redis, stored, quote)
    await _rehashed(redis)


async def store(redis: Connection, stored: Stored, quote: Quote, number: int) -> None:
    """Store one key and its hold by the scripts. The hold is of nothing, so that it changes no sum that is shared."""
    key = stored.key(number)
    assert await RedisKeyring(redis).put(key, replaces=0)
    await RedisLedger(redis).top_up(key.owner, 999_999 * NANO_PER_USD, "benchmark", quote.held_ms)
    hold_id = f"00000000-0000-4000-8000-{NUMBER.format(number)}"
    hold = replace(stored.hold(number, hold_id, quote), amount_nano=0, record="")
    assert (await RedisLedger(redis).hold(hold)).outcome is Outcome.HELD


async def copy(redis: Connection, stored: Stored, numbers: Iterable[int]) -> None:
    """Store these keys and holds, where number 0 is stored and nothing else."""
    template = [NUMBER.format(0), _tag(stored, 0), json.dumps([each async for each in _template(redis)])]
    left = list(numbers)
    while some := left[:_AT_ONCE]:
        del left[:_AT_ONCE]
        copies = (word for number in some for word in (NUMBER.format(number), _tag(stored, number)))
        await redis.execute("EVAL", _COPY, 0, *template, *copies)


async def _template(redis: Connection) -> AsyncIterator[tuple[str, str, list[str]]]:
    for name in sorted(await redis.execute("KEYS", "*")):
        kind = await redis.execute("TYPE", name)
        if kind in ("set", "zset") or (kind != "stream" and NUMBER.format(0) in name):
            yield kind, name, await _words(redis, kind, name)


async def _words(redis: Connection, kind: str, name: str) -> list[str]:
    """What to write, as the command for this type takes it."""
    found: Any
    match kind:
        case "hash":
            found = await redis.execute("HGETALL", name)
            return [word for pair in found.items() for word in pair]
        case "set":
            return sorted(await redis.execute("SMEMBERS", name))
        case "zset":
            found = await redis.execute("ZRANGE", name, 0, -1, "WITHSCORES")
            return [str(word) for word in reversed(found)]
        case _:
            return [await redis.execute("GET", name)]


async def _lengthen(redis: Connection, stored: Stored, quote: Quote) -> None:
    hold = stored.hold(0, "00000000-0000-4000-8000-ffffffffffff", quote)
    await RedisLedger(redis).end(settlement(hold))
    for _ in range(stored.log // _AT_ONCE):
        await redis.execute("EVAL", _REPEAT, 1, keys.usage(bucket_of(hold.owner)), _AT_ONCE)


async def _rehashed(redis: Connection) -> None:
    """Wait until Redis has moved all names to the larger table that so many need.

    Left alone that takes minutes, in which every name is looked for in two tables: a pair costs up to twice as much.
    """
    await redis.execute("CONFIG", "SET", "hz", 500)
    async with asyncio.timeout(_REHASH_SECONDS):
        while (await _slots(redis)).bit_count() > 1:
            await asyncio.sleep(0.1)
    await redis.execute("CONFIG", "SET", "hz", 10)


async def _slots(redis: Connection) -> int:
    """Of the table or tables of all names: each has a power of two, of 8 bytes. An entry takes 40 in Redis 6.2."""
    found = await redis.execute("MEMORY", "STATS")
    stats = dict(zip(found[::2], found[1::2], strict=True))
    table = dict(zip(stats["db.0"][::2], stats["db.0"][1::2], strict=True))
    return (int(table["overhead.hashtable.main"]) - 40 * int(stats["keys.count"])) // 8


def _tag(stored: Stored, number: int) -> str:
    return f"{{b{bucket_of(stored.key(number).owner)}}}"
