"""The sweeper: every overdue hold expires, one worker sweeps at a time, and an outage is waited out."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from extproc.core.identity import KeyRecord
from extproc.core.ledger import BUCKETS, Account, AccountKind, Hold, bucket_of
from extproc.core.memory_ledger import MemoryLedger
from extproc.errors import LedgerUnavailable
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.sweeper import HOLDS_AT_ONCE, Lease, run_sweeper, sweep
from tests.store.redis_server import RedisServer

KEY = KeyRecord("k1", "ada", "sk-", "", "g")


def holds(number: int, deadline_ms: int = 10) -> Iterator[Hold]:
    """So many holds of 1 nano."""
    for place in range(number):
        yield Hold(f"{deadline_ms}-{place}", "ada", "k1", 1, KEY.accounts("2026-11"), 1, 0, deadline_ms)


class Watched(MemoryLedger):
    """A ledger that tells when a whole round is done, and fails as often as it was told to."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.swept: list[int] = []
        self.rounds = asyncio.Semaphore(0)

    async def expire_due(self, bucket: int, now_ms: int, limit: int) -> list[str]:
        """As the ledger does, or not at all."""
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailable("away")
        self.swept.append(bucket)
        if bucket == BUCKETS - 1:
            self.rounds.release()
        return await super().expire_due(bucket, now_ms, limit)


async def test_a_sweep_expires_all_that_is_due_and_nothing_else(connection: Connection) -> None:
    """More holds than one script takes, in the last bucket as in any other; what is not due stays held."""
    ledger, ring = RedisLedger(connection), RedisKeyring(connection)
    due = 2 * HOLDS_AT_ONCE + 5
    last = next(f"o{n}" for n in range(100_000) if bucket_of(f"o{n}") == BUCKETS - 1)
    for key in (replace(KEY, max_live=1000), replace(KEY, owner=last, max_live=1000)):
        await ring.put(key, replaces=0)
        await ledger.top_up(key.owner, 1000, "a", 0)
        asked = [*holds(due), *holds(3, deadline_ms=4_000_000_000_000)]
        accounts = key.accounts("2026-11")
        await asyncio.gather(
            *(ledger.hold(replace(hold, owner=key.owner, accounts=accounts, max_live=1000)) for hold in asked)
        )
    assert await sweep(ledger, now_ms=20) == 2 * due
    assert await sweep(ledger, now_ms=20) == 0
    for owner in ("ada", last):
        assert (await ledger.balance(owner, Account(AccountKind.WALLET, owner))).held_nano == 3


async def test_a_sweep_visits_every_bucket_once() -> None:
    """No bucket is left out, none is asked twice when it has nothing."""
    ledger = Watched()
    await sweep(ledger, 0)
    assert sorted(ledger.swept) == list(range(BUCKETS))


async def test_one_sweeps_at_a_time(connection: Connection, server: RedisServer) -> None:
    """Of many workers that ask for the lease at once, one gets it."""
    other = Connection(server.url)
    leases = [Lease(connection), Lease(connection), Lease(other)]
    assert sorted(await asyncio.gather(*(lease.take(60) for lease in leases))) == [False, False, True]
    await other.aclose()


async def test_a_lease_runs_out_by_itself(connection: Connection) -> None:
    """A worker that dies with the lease keeps nobody from sweeping for long."""
    lease = Lease(connection)
    assert await lease.take(0.001)
    async with asyncio.timeout(30):
        while not await lease.take(60):
            pass


async def test_the_sweeper_goes_on_after_failures(connection: Connection) -> None:
    """A round that fails is followed by the next, and an overdue hold is expired in the end."""
    ledger = Watched(failures=3)
    ledger.put_key(KEY)
    await ledger.top_up("ada", 5, "a", 0)
    for hold in holds(2):
        await ledger.hold(hold)
    sweeper = asyncio.create_task(run_sweeper(ledger, Lease(connection), interval_seconds=0.002))
    async with asyncio.timeout(30):
        for _ in range(2):
            await ledger.rounds.acquire()
    sweeper.cancel()
    with suppress(asyncio.CancelledError):
        await sweeper
    assert ledger.failures == 0
    assert (await ledger.balance("ada", Account(AccountKind.WALLET, "ada"))).held_nano == 0


@pytest.fixture
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that does not run yet."""
    server = RedisServer(tmp_path_factory.mktemp("late"))
    yield server
    server.kill()


async def test_the_sweeper_outlives_a_killed_redis(late: RedisServer) -> None:
    """It is started while Redis is away, and sweeps once it is there."""
    connection = Connection(f"{late.url}")
    ledger = Watched()
    sweeper = asyncio.create_task(run_sweeper(ledger, Lease(connection), interval_seconds=0.01))
    with pytest.raises(LedgerUnavailable):
        await connection.execute("PING")
    await asyncio.to_thread(late.start)
    async with asyncio.timeout(30):
        await ledger.rounds.acquire()
    late.kill()
    with pytest.raises(LedgerUnavailable):
        await connection.execute("PING")
    await asyncio.to_thread(late.start)
    async with asyncio.timeout(30):
        while ledger.rounds.locked():
            await asyncio.sleep(0)
    assert not sweeper.done()
    sweeper.cancel()
    await connection.aclose()
