"""What only the ledger in Redis does: it keeps an owner's things in one slot, and forgets what has long ended."""

import re
from dataclasses import replace

from redis.crc import key_slot

from extproc.core.identity import KeyRecord
from extproc.core.ledger import (
    BUCKETS,
    KEEP_MS,
    UNLIMITED,
    End,
    EntryResult,
    Hold,
    HoldResult,
    Outcome,
    State,
    bucket_of,
)
from extproc.core.people import Member, TeamRecord
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.teams import RedisTeams

KEY = KeyRecord("k1", "ada", "sk-", "", "g")
BUCKET = bucket_of("ada")
HOUR_MS = 3_600_000
LONG_AGO_MS = 1_000


def ask(now_ms: int, life_ms: int = 60_000) -> Hold:
    """A hold by the one key."""
    return Hold("h1", "ada", "k1", 1, KEY.accounts("2026-11"), 5, now_ms, now_ms + life_ms, "record")


def report(now_ms: int, deadline_ms: int) -> End:
    """A settlement of the one hold."""
    return End("h1", "ada", KEY.accounts("2026-11"), State.REPORTED, 5, now_ms, deadline_ms, "test")


async def now_of(redis: Connection) -> int:
    """What Redis takes the time to be."""
    seconds, microseconds = await redis.execute("TIME")
    return int(seconds) * 1000 + int(microseconds) // 1000


async def ledger_with_money(redis: Connection) -> RedisLedger:
    """A ledger in which the owner has a key and 100 nano."""
    await RedisKeyring(redis).create(KEY, "digest")
    await RedisLedger(redis).top_up("ada", 100, "a", 0)
    return RedisLedger(redis)


async def test_all_of_an_owner_is_in_one_slot(connection: Connection) -> None:
    """Everything the scripts wrote carries the owner's tag, and so would be in one slot of a cluster."""
    ledger = await ledger_with_money(connection)
    await ledger.end(report(1, 2))
    await ledger.hold(Hold("h2", "ada", "k1", 1, KEY.accounts("2026-11"), 5, 1, 4_000_000_000_000))
    await RedisTeams(connection).create(TeamRecord("ada", "red", members={"bob": Member()}))
    await RedisKeyring(connection).edit_owner("ada", lambda owner: replace(owner, tier="pro"))
    names = {name for found in (await connection.execute_everywhere("KEYS", "*")).values() for name in found}
    outside = {keys.OWNERS, keys.owner_of("k1"), keys.by_digest("digest"), keys.teams_of("bob")}
    assert outside < names
    kinds = {re.sub("{.*}:", "", name).split(":")[1] for name in names - outside}
    assert kinds == {
        *("hold", "due", "usage", "account", "key", "keys", "entries", "references"),
        *("changes", "team", "teams", "owner", "owners"),
    }
    assert {key_slot(name.encode()) for name in names - outside} == {key_slot(keys.due(BUCKET).encode())}


def test_owners_are_spread_over_the_buckets() -> None:
    """The bucket of an owner never changes, and with many owners no bucket is empty."""
    assert (bucket_of("ada"), bucket_of("größer")) == (872, 944)
    assert len({bucket_of(f"team-{number}") for number in range(20_000)}) == BUCKETS


async def test_a_live_hold_is_never_forgotten(connection: Connection) -> None:
    """A hold goes when it is ended or expired, never by itself: what it took would be lost."""
    ledger = await ledger_with_money(connection)
    await ledger.hold(ask(LONG_AGO_MS))
    assert await connection.execute("PTTL", keys.hold(BUCKET, "h1")) == -1


async def test_an_ended_hold_is_remembered_longer_than_promised(connection: Connection) -> None:
    """It goes an hour after a repetition would be refused, counted from the end or the deadline, whichever is later."""
    ledger = await ledger_with_money(connection)
    now_ms = await now_of(connection)
    await ledger.hold(ask(now_ms))
    await ledger.end(report(now_ms, now_ms + 60_000))
    goes_ms = await now_of(connection) + await connection.execute("PTTL", keys.hold(BUCKET, "h1"))
    assert abs(goes_ms - (now_ms + 60_000 + KEEP_MS + HOUR_MS)) < 1_000
    await connection.execute_everywhere("FLUSHDB")
    await ledger.end(report(now_ms, now_ms - 60_000))
    goes_ms = await now_of(connection) + await connection.execute("PTTL", keys.hold(BUCKET, "h1"))
    assert abs(goes_ms - (now_ms + KEEP_MS + HOUR_MS)) < 1_000


async def test_an_ended_hold_keeps_little(connection: Connection) -> None:
    """Of an ended hold the state and the sums stay, for a day; its record is in the log."""
    ledger = await ledger_with_money(connection)
    await ledger.hold(ask(4_000_000_000_000))
    await ledger.end(report(4_000_000_000_000, 4_000_000_060_000))
    kept = await connection.execute("HGETALL", keys.hold(BUCKET, "h1"))
    assert kept == {"state": "6", "cost": "5", "amount": "5", "key": "k1", "deadline": "4000000060000"}
    assert await connection.execute("ZCARD", keys.due(BUCKET)) == 0


async def test_a_report_is_too_late_once_its_hold_is_forgotten(connection: Connection) -> None:
    """What Redis has forgotten, because it ended or expired long ago, cannot be charged again."""
    ledger = await ledger_with_money(connection)
    deadline_ms = LONG_AGO_MS + 60_000
    assert await ledger.hold(ask(LONG_AGO_MS)) == HoldResult(Outcome.HELD)
    assert (await ledger.end(report(LONG_AGO_MS, deadline_ms))).outcome is Outcome.ENDED
    after_ms = deadline_ms + KEEP_MS + 1
    assert (await ledger.end(report(after_ms, deadline_ms))).outcome is Outcome.TOO_LATE
    assert (await ledger.balance("ada", KEY.accounts("2026-11")[-1])).used_nano == 5
    await ledger.hold(ask(LONG_AGO_MS))
    assert await ledger.expire_due(BUCKET, deadline_ms, 10) == ["h1"]
    assert (await ledger.end(report(after_ms, deadline_ms))).outcome is Outcome.TOO_LATE
    assert (await ledger.balance("ada", KEY.accounts("2026-11")[-1])).used_nano == 5
    assert await connection.execute("EXISTS", keys.due(BUCKET), keys.hold(BUCKET, "h1")) == 0


async def test_a_deadline_without_its_hold_is_dropped(connection: Connection) -> None:
    """A hold that somebody deleted by hand does not stop the sweeper at its bucket."""
    ledger = await ledger_with_money(connection)
    await ledger.hold(ask(LONG_AGO_MS))
    await connection.execute("DEL", keys.hold(BUCKET, "h1"))
    assert await ledger.expire_due(BUCKET, LONG_AGO_MS + 60_000, 10) == []
    assert await connection.execute("ZCARD", keys.due(BUCKET)) == 0


async def test_an_unlimited_wallet_is_not_topped_up(connection: Connection) -> None:
    """There is nothing to add to no limit, and -1 is never counted as an amount."""
    wallet = keys.account(BUCKET, KEY.accounts("2026-11")[-1])
    await connection.execute("HSET", wallet, "limit", UNLIMITED)
    assert await RedisLedger(connection).top_up("ada", 100, "a", 0) == EntryResult(Outcome.OVER_MAXIMUM, UNLIMITED)
    assert await connection.execute("HGET", wallet, "limit") == str(UNLIMITED)
