"""How many holds are live, and how overdue the first of them is."""

from contextlib import aclosing

import pytest

from extproc.core.identity import KeyRecord
from extproc.core.ledger import BUCKETS, HOLD_MS, Hold, bucket_of
from extproc.errors import LedgerUnavailable
from extproc.metrics import WORKER
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.live import LiveHolds, live_holds
from extproc.store.redis_ledger import RedisLedger
from extproc.store.sweeper import sweep

UNAVAILABLE = "tollgate_ledger_unavailable_total"
SWEEPS = "tollgate_ledger_seconds_count"


async def test_holds_of_every_bucket_are_counted_until_they_end(connection: Connection) -> None:
    """Of three owners in three buckets, two holds each; the earliest deadline is found wherever it is."""
    ledger, ring = RedisLedger(connection), RedisKeyring(connection)
    assert await live_holds(connection) == LiveHolds(0, None)
    owners = ["ada", "bob", "eve"]
    assert len({bucket_of(owner) for owner in owners}) == 3
    for place, owner in enumerate(owners):
        key = KeyRecord(f"k-{owner}", owner, "sk-", "", "g")
        await ring.put(key, replaces=0)
        for deadline_ms in (5_000 - place, 9_000):
            accounts = key.accounts("2026-11")
            await ledger.hold(Hold(f"{owner}-{deadline_ms}", owner, key.key_id, 1, accounts, 0, 0, deadline_ms))
    assert await live_holds(connection) == LiveHolds(6, 4_998)
    await ledger.expire_due(bucket_of("eve"), 5_000, 10)
    assert await live_holds(connection) == LiveHolds(5, 4_999)


@pytest.mark.parametrize(
    ("earliest_ms", "overdue_ms", "oldest_ms"),
    [(None, 0, 0), (10_000, 0, HOLD_MS), (9_000, 1_000, HOLD_MS + 1_000), (10_000 + HOLD_MS, 0, 0), (10**13, 0, 0)],
)
def test_ages(earliest_ms: int | None, overdue_ms: int, oldest_ms: int) -> None:
    """At 10 s: neither is ever negative, and without a hold both are 0."""
    holds = LiveHolds(1, earliest_ms)
    assert (holds.overdue_ms(10_000), holds.oldest_ms(10_000)) == (overdue_ms, oldest_ms)


async def test_expired_holds_and_unanswered_calls_are_counted(connection: Connection) -> None:
    """Each hold that a sweep expires, and each call that Redis does not do; how long either took, by its verb."""
    before = {name: WORKER.get_sample_value(name) or 0 for name in ("tollgate_holds_expired_total", UNAVAILABLE)}
    sweeps = WORKER.get_sample_value(SWEEPS, {"verb": "expire_due"}) or 0
    await RedisKeyring(connection).put(KeyRecord("k", "ada", "sk-", "", "g"), replaces=0)
    for number in range(3):
        await RedisLedger(connection).hold(Hold(f"h{number}", "ada", "k", 1, (), 0, 0, deadline_ms=number))
    await sweep(RedisLedger(connection), now_ms=10)
    assert WORKER.get_sample_value("tollgate_holds_expired_total") == before["tollgate_holds_expired_total"] + 3
    assert WORKER.get_sample_value(SWEEPS, {"verb": "expire_due"}) == sweeps + BUCKETS

    async with aclosing(Connection("unix:///nowhere/redis.sock")) as nobody:
        with pytest.raises(LedgerUnavailable):
            await nobody.execute("PING")
    with pytest.raises(LedgerUnavailable):
        await connection.execute("NONSENSE")
    assert WORKER.get_sample_value(UNAVAILABLE) == before[UNAVAILABLE] + 2
