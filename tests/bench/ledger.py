"""Hold and settle through the store's own connection, without Envoy: round trips and CPU of the client and of Redis."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from extproc.clock import now_ms
from extproc.config.load import load
from extproc.core.catalog import Catalog
from extproc.core.chain import build_chain
from extproc.core.identity import KeyRecord
from extproc.core.ledger import End, Hold, Outcome, State
from extproc.core.money import NANO_PER_USD
from extproc.core.quote import Ask, Quote, make_quote
from extproc.dialects.routes import CHAT
from extproc.store.connection import Command, Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.wire.codec import encode_record
from tests.bench.cpu import cpu_ns
from tests.store.redis_server import RedisServer

OWNER: Final = "benchmark"
SIZES: Final = (1_000, 100_000)
"""Keys, each with a live hold, all of one owner: one sorted set of deadlines has them all, which is the worst case."""

ROUNDS, PAIRS = 3, 2_000
TOGETHER: Final = 64


class CountingConnection(Connection):
    """Counts its round trips."""

    round_trips = 0

    async def _pipeline(self, commands: list[Command]) -> list[Any]:
        self.round_trips += 1
        return await super()._pipeline(commands)


@dataclass(frozen=True, slots=True)
class Pair:
    """A hold and its settlement: the median over the rounds. CPU in µs."""

    stored: int
    together: int
    round_trips: float
    client_us: float
    redis_us: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A ledger with keys, and a quote to hold."""

    connection: CountingConnection
    ledger: RedisLedger
    quote: Quote
    redis_pid: int

    async def pair(self, _number: int) -> None:
        """One request: hold, then settle at half of the hold."""
        hold = self.hold(0)
        assert (await self.ledger.hold(hold)).outcome is Outcome.HELD
        ended = await self.ledger.end(
            End(
                hold_id=hold.hold_id,
                owner=OWNER,
                accounts=hold.accounts,
                state=State.REPORTED,
                cost_nano=hold.amount_nano // 2,
                now_ms=hold.now_ms,
                deadline_ms=hold.deadline_ms,
                reporter="trailers",
                record=hold.record,
            )
        )
        assert ended.outcome is Outcome.ENDED

    def hold(self, number: int) -> Hold:
        """A new hold on the account of this key; its id is as long as Envoy's."""
        key = _key(number)
        return Hold(
            hold_id=str(uuid.uuid4()),
            owner=OWNER,
            key_id=key.key_id,
            key_revision=key.revision,
            accounts=key.accounts("2026-11"),
            amount_nano=self.quote.hold_nano,
            now_ms=self.quote.held_ms,
            deadline_ms=self.quote.deadline_ms + number,
            record=encode_record(self.quote),
        )


def run(folder: Path, config: Path, console: Console) -> dict[str, Any]:
    """Measure alone and together, with few and with many keys stored; a table, and the figures."""
    pairs = uvloop.run(_measure(folder, load(config, {}).catalog))
    title = f"hold + settle: medians of {ROUNDS} × {PAIRS:,} pairs"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("keys and holds stored", "at once", "round trips", "client CPU µs", "Redis CPU µs"):
        table.add_column(column, justify="right")
    for pair in pairs:
        figures = f"{pair.round_trips:.3f}", f"{pair.client_us:.1f}", f"{pair.redis_us:.1f}"
        table.add_row(f"{pair.stored:,}", str(pair.together), *figures)
    console.print(table)
    return {"pairs": [asdict(pair) for pair in pairs]}


async def _measure(folder: Path, catalog: Catalog) -> list[Pair]:
    with _redis(folder) as server:
        connection = CountingConnection(server.url)
        bench = Bench(connection, RedisLedger(connection), _quote(catalog), server.process.pid)
        await bench.ledger.top_up(OWNER, 5_000_000 * NANO_PER_USD, "benchmark", now_ms())
        pairs, stored = [], 0
        for size in SIZES:
            await _store(bench, range(stored, size))
            stored = size
            await _windows(bench, size, TOGETHER)  # warm up
            pairs += [await _windows(bench, size, together) for together in (1, TOGETHER)]
        await connection.aclose()
    return pairs


@contextmanager
def _redis(folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def _store(bench: Bench, numbers: range) -> None:
    keyring = RedisKeyring(bench.connection)
    for first in range(0, len(numbers), 500):
        some = numbers[first : first + 500]
        await asyncio.gather(*(keyring.put(_key(number), replaces=0) for number in some))
        await asyncio.gather(*(bench.ledger.hold(bench.hold(number)) for number in some))


async def _windows(bench: Bench, stored: int, together: int) -> Pair:
    windows = [await _window(bench, together) for _ in range(ROUNDS)]
    round_trips, client_us, redis_us = (median(figures) for figures in zip(*windows, strict=True))
    return Pair(stored, together, round_trips, client_us, redis_us)


async def _window(bench: Bench, together: int) -> tuple[float, float, float]:
    """Round trips, CPU of this process and CPU of Redis, per pair."""
    trips, client, redis = bench.connection.round_trips, time.process_time_ns(), cpu_ns(bench.redis_pid)
    for first in range(0, PAIRS, together):
        await asyncio.gather(*map(bench.pair, range(PAIRS)[first : first + together]))
    return (
        (bench.connection.round_trips - trips) / PAIRS,
        (time.process_time_ns() - client) / PAIRS / 1000,
        (cpu_ns(bench.redis_pid) - redis) / PAIRS / 1000,
    )


def _key(number: int) -> KeyRecord:
    return KeyRecord(f"key_{number}", OWNER, "sk-example", "benchmark", "default")


def _quote(catalog: Catalog) -> Quote:
    """What admit would hold for a short chat call."""
    ask, key = Ask("gpt-5-mini", output_cap=500, text_bytes=200), _key(0)
    chain = build_chain(catalog, key.groups, ask.model, CHAT, Random(0))
    return make_quote(
        key, key.accounts("2026-11"), ask, CHAT, catalog.models[ask.model], chain, catalog.revision, now_ms()
    )
