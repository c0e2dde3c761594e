"""Usage that is older than the operator keeps is forgotten, in Redis and in the index, and the books stay right."""

import asyncio
from contextlib import suppress
from itertools import count
from zoneinfo import ZoneInfo

import pytest

from extproc.core.ledger import State, bucket_of
from extproc.errors import ConfigError
from extproc.index.days import begin_ms
from extproc.index.index import Index
from extproc.index.retention import kept_from_ms, run_retention
from extproc.index.where import By, Where
from extproc.settings import read_usage_days
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.trim import LEAST_MS
from extproc.store.usage import usage_of_bucket
from tests.index.samples import KEYS, ZONE, Told, write

DAY_MS = 86_400_000
NOON_MS = begin_ms("2096-11-22", ZONE) + DAY_MS // 2
"""Later than any entry can have been written."""


async def until(index: Index, requests: int) -> None:
    """Wait until the index has so many."""
    async with asyncio.timeout(20):
        while (await index.totals(Where(), By.DAY))[1].requests != requests:
            await asyncio.sleep(0.01)


async def left(connection: Connection) -> set[str]:
    """The requests that have entries in Redis."""
    buckets = {bucket_of(key.owner) for key in KEYS}
    return {
        entry.hold_id for bucket in buckets for entry in [each async for each in usage_of_bucket(connection, bucket)]
    }


async def test_whole_days_go(connection: Connection, index: Index) -> None:
    """Of ten days seven are kept before today's, in every bucket; what comes in time is kept."""
    told = [Told(f"r{day}", KEYS[day], NOON_MS - day * DAY_MS, State.REPORTED, 1) for day in range(10)]
    await write(connection, *told)
    await index.fill(connection)
    task = asyncio.create_task(run_retention(connection, index, 7, lambda: NOON_MS, seconds=3600))
    await until(index, 8)
    assert await left(connection) == {f"r{day}" for day in range(8)}
    assert (await index.page(Where())).rows[-1].request_id == "r7"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await index.fill(connection) == 0


async def test_it_is_done_again_and_again_by_one_of_all(connection: Connection, index: Index) -> None:
    """While another has the lease only the index is trimmed; afterwards Redis is too."""
    told = Told("old", KEYS[0], NOON_MS - 30 * DAY_MS, State.REPORTED, 1)
    await write(connection, told)
    await index.fill(connection)
    await connection.execute("SET", keys.RETENTION_LEASE, "taken")
    task = asyncio.create_task(run_retention(connection, index, 7, lambda: NOON_MS, seconds=0.01))
    await until(index, 0)
    assert await left(connection) == {"old"}
    await connection.execute("DEL", keys.RETENTION_LEASE)
    async with asyncio.timeout(20):
        while await left(connection):
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_of_no_days_nothing_is_forgotten(connection: Connection, index: Index) -> None:
    """It is over at once."""
    await run_retention(connection, index, 0, lambda: NOON_MS)
    assert not await connection.execute("EXISTS", keys.RETENTION_LEASE)


async def test_an_outage_is_waited_out(index: Index, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where nobody answers, it goes on asking."""
    ticks = count()
    away = Connection(f"unix://{tmp_path_factory.mktemp('none')}/r.sock")
    task = asyncio.create_task(run_retention(away, index, 7, lambda: next(ticks) + NOON_MS, seconds=0.01))
    async with asyncio.timeout(20):
        while next(ticks) < 5:
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await away.aclose()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/Santiago"])
def test_the_days_begin_at_midnight_there(zone: str) -> None:
    """And what can still be reported is never too old."""
    there = ZoneInfo(zone)
    midnight = begin_ms("2026-11-22", there)
    for now_ms in (midnight, midnight + 1, midnight + DAY_MS - 1):
        assert kept_from_ms(now_ms, 10, there) == begin_ms("2026-11-12", there)
        assert kept_from_ms(now_ms, 1, there) == now_ms - LEAST_MS


@pytest.mark.parametrize(("said", "days"), [("", 0), ("0", 0), ("5", 5), ("400", 400)])
def test_how_long_usage_is_kept_is_a_setting(monkeypatch: pytest.MonkeyPatch, said: str, days: int) -> None:
    """In days; without it, for good."""
    monkeypatch.setenv("TOLLGATE_USAGE_DAYS", said)
    assert read_usage_days() == days


@pytest.mark.parametrize("said", ["1", "4", "-1", "x", "36501"])
def test_too_few_days_are_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """A request may be told of days after it began."""
    monkeypatch.setenv("TOLLGATE_USAGE_DAYS", said)
    with pytest.raises(ConfigError, match="TOLLGATE_USAGE_DAYS"):
        read_usage_days()
