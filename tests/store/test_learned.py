"""What workers learn reaches all of them, once, and is forgotten in time."""

import asyncio
from contextlib import suppress

import pytest

from extproc.core.learned import Kind, Learned, Part
from extproc.core.scale import LEAST_SAMPLES, MOST_SAMPLES, MOST_TOKEN_MILLIBYTES, Sums
from extproc.errors import LedgerUnavailable
from extproc.store import keys
from extproc.store import learned as module
from extproc.store.connection import Connection
from extproc.store.learned import DAY_MS, KEEP_SECONDS, run_sharing, share
from tests.store.redis_server import RedisServer

TODAY_MS = 20_000 * DAY_MS
KINDS = [
    Kind("openai.chat", Part.STREAM, "gpt"),
    Kind("openai.chat", Part.PROMPT, "gpt"),
    Kind("gemini.generate", Part.PIECE, "tuned:model:1"),
]


def taught(kind: Kind = KINDS[0], count: int = LEAST_SAMPLES) -> Learned:
    """A worker that has learned from so many answers."""
    learned = Learned()
    for tokens in range(1, count + 1):
        learned.add(kind, tokens, 1_000 + 250 * tokens)
    return learned


def fresh(learned: Learned, kind: Kind = KINDS[0]) -> bool:
    """Whether it knows no more of a kind than at its start."""
    return learned.scale(kind) == Learned().scale(kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_one_worker_learned_another_knows(connection: Connection, kind: Kind) -> None:
    """Two with half of the answers each come to the scale of one with all of them; whoever starts later, too."""
    one, other, late = Learned(), Learned(), Learned()
    for worker, first in ((one, 1), (other, 2)):
        for tokens in range(first, 2 * LEAST_SAMPLES, 2):
            worker.add(kind, tokens, 1_000 + 250 * tokens)
    for worker in (one, other, one, late):
        await share(connection, worker, TODAY_MS)
    whole = taught(kind, 2 * LEAST_SAMPLES - 1)
    assert {worker.scale(kind) for worker in (one, other, late, whole)} == {whole.scale(kind)}
    assert not fresh(late, kind)


async def test_nothing_is_added_twice(connection: Connection) -> None:
    """A worker that has nothing new changes nothing."""
    worker = taught()
    for _ in range(3):
        await share(connection, worker, TODAY_MS)
    count = f"{':'.join(KINDS[0][:2])}:gpt:count"
    assert await connection.execute("HGET", keys.learned(20_000), count) == str(LEAST_SAMPLES)


@pytest.mark.parametrize(("days", "known"), [(0, True), (1, True), (2, False)])
async def test_the_day_before_yesterday_is_forgotten(connection: Connection, days: int, known: bool) -> None:
    """Of all days today and yesterday count, so that a vendor's change is followed."""
    await share(connection, taught(), TODAY_MS)
    later = Learned()
    await share(connection, later, TODAY_MS + days * DAY_MS)
    assert fresh(later) is not known


async def test_both_days_count_together(connection: Connection) -> None:
    """Half of what is needed yesterday and half today are enough."""
    await share(connection, taught(count=LEAST_SAMPLES // 2), TODAY_MS - 1)
    worker = taught(count=LEAST_SAMPLES // 2)
    await share(connection, worker, TODAY_MS)
    assert not fresh(worker)


async def test_redis_clears_up_by_itself(connection: Connection) -> None:
    """A day's sums are kept for three days."""
    await share(connection, taught(), TODAY_MS)
    assert 0 < await connection.execute("TTL", keys.learned(20_000)) <= KEEP_SECONDS


async def test_the_largest_sums_of_a_day_can_be_stored(connection: Connection) -> None:
    """A million answers of the largest tokens, told again: what Redis adds up stays exact."""
    most, worker = MOST_TOKEN_MILLIBYTES, Learned()
    sums = Sums(MOST_SAMPLES, yy=MOST_SAMPLES * most * most)
    for _ in range(2):
        worker.put_back({KINDS[0]: sums})
        await share(connection, worker, TODAY_MS)
    stored = await connection.execute("HGET", keys.learned(20_000), "openai.chat:stream:gpt:yy")
    assert int(stored) == 2 * sums.yy


async def test_during_an_outage_a_worker_keeps_what_it_learned(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is lost: it goes by its own lessons, and tells them when Redis is there."""
    server = RedisServer(tmp_path_factory.mktemp("away"))
    connection, worker, later = Connection(server.url), taught(), Learned()
    with pytest.raises(LedgerUnavailable):
        await share(connection, worker, TODAY_MS)
    assert not fresh(worker)
    await asyncio.to_thread(server.start)
    await share(connection, worker, TODAY_MS)
    await share(connection, later, TODAY_MS)
    assert not fresh(later)
    await connection.aclose()
    server.kill()


async def test_sharing_goes_on_after_failures(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that fails, for whatever reason, is followed by the next."""
    failures: list[Exception] = [ValueError("a mistake"), LedgerUnavailable("away")]
    worker, told = taught(), asyncio.Event()

    async def failing(redis: Connection, learned: Learned, now_ms: int) -> None:
        if failures:
            raise failures.pop()
        await share(redis, learned, now_ms)
        told.set()

    monkeypatch.setattr(module, "SHARE_SECONDS", 0)
    monkeypatch.setattr(module, "share", failing)
    sharing = asyncio.create_task(run_sharing(connection, worker, lambda: TODAY_MS))
    async with asyncio.timeout(30):
        await told.wait()
    sharing.cancel()
    with suppress(asyncio.CancelledError):
        await sharing
    assert worker.take() == {}
