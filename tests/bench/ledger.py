"""Hold and settle through the store's own connection, without Envoy: round trips and CPU of the client and of Redis.

What it costs beside a thousand times as much that is stored: two servers, whose windows take turns.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, astuple, dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

import uvloop
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from rich import box
from rich.console import Console
from rich.table import Table

from extproc.clock import now_ms
from extproc.config.load import load
from extproc.core.catalog import Catalog
from extproc.core.chain import build_chain
from extproc.core.identity import Caller, OwnerRecord
from extproc.core.learned import Learned
from extproc.core.ledger import Outcome
from extproc.core.quote import Ask, Quote, make_quote
from extproc.dialects.routes import CHAT
from extproc.store.address import Address
from extproc.store.connection import OURS, Connection
from extproc.store.lane import Lane
from extproc.store.pipe import Command
from extproc.store.redis_ledger import RedisLedger
from tests.bench.cpu import cpu_ns
from tests.bench.stored import Stored, fill, settlement
from tests.store.redis_server import RedisServer

MILLION: Final = 1_000_000
COMPARED: Final = {
    "keys and holds of one owner": (Stored(), Stored(keys=MILLION)),
    "owners with a key and a hold each": (Stored(one_owner=False), Stored(keys=MILLION, one_owner=False)),
    "entries in the usage log": (Stored(log=1_000), Stored(log=MILLION)),
}
PROMISED_RATIO, ALLOWED_RATIO = 1.2, 1.5
"""CPU of Redis for a pair, with a million : with a thousand. Above the second the benchmark fails: a million names do
not fit into the processor's caches, which costs the more the busier the machine is."""

ROUNDS, PAIRS = 9, 2_000
TOGETHER: Final = (1, 64)


class CountingLane(Lane):
    """Counts its round trips."""

    round_trips = 0

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        self.round_trips += 1
        return await super()._pipeline(commands)


class CountingConnection(Connection):
    """Counts the round trips to its one server."""

    def _open(self, address: Address) -> Lane:
        self.lane = CountingLane("Redis", Redis.from_pool(ConnectionPool(**address.options, **OURS)))
        return self.lane


@dataclass(frozen=True, slots=True)
class Pair:
    """What a hold with its settlement took, in µs: time, CPU of the client, CPU of Redis; and its round trips."""

    round_trips: float
    wall_us: float
    client_us: float
    redis_us: float


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds, so many pairs at once. The ratios are medians of those of neighbouring windows."""

    what: str
    together: int
    few: Pair
    many: Pair
    client_ratio: float
    redis_ratio: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A ledger on a server of its own in which something is stored, and a quote to hold."""

    connection: CountingConnection
    stored: Stored
    quote: Quote
    redis_pid: int
    draw: Random = field(default_factory=lambda: Random(0))
    ages_ms: Iterator[int] = field(default_factory=lambda: count(1))

    async def pair(self) -> None:
        """One request of any of the keys: hold, then settle. Its deadline is the last of all, as of any new request."""
        ledger, number = RedisLedger(self.connection), self.draw.randrange(self.stored.keys)
        hold = self.stored.hold(number, str(uuid.uuid4()), self.quote)
        hold = replace(hold, deadline_ms=hold.deadline_ms + next(self.ages_ms))
        assert (await ledger.hold(hold)).outcome is Outcome.HELD
        assert (await ledger.end(settlement(hold))).outcome is Outcome.ENDED

    async def window(self, together: int) -> Pair:
        """What a pair takes, of so many that run at once."""
        before = self._so_far()
        for _ in range(0, PAIRS, together):
            await asyncio.gather(*(self.pair() for _ in range(together)))
        pairs = -(-PAIRS // together) * together
        return Pair(*((now - then) / pairs for now, then in zip(self._so_far(), before, strict=True)))

    def _so_far(self) -> tuple[float, ...]:
        spent_ns = time.perf_counter_ns(), time.process_time_ns(), cpu_ns(self.redis_pid)
        return self.connection.lane.round_trips, *(ns / 1000 for ns in spent_ns)


def run(folder: Path, config: Path, console: Console) -> dict[str, Any]:
    """Compare few and many of each, one at a time and together; a table, and the figures."""
    quote = _quote(load(config, {}).catalog)
    rows: list[Row] = []
    with console.status("storing a million of each, and measuring"):
        for number, what in enumerate(COMPARED):
            rows += uvloop.run(_compare(folder / str(number), what, quote))
    console.print(_table(rows))
    return {"pairs": [asdict(row) for row in rows]}


def grown(results: dict[str, Any]) -> str:
    """What makes a pair cost Redis more than is allowed, a line for each; empty when nothing does."""
    return "\n".join(
        f"Redis's CPU grows with the {row['what']}, {row['together']} at once: ×{row['redis_ratio']:.2f}"
        for row in results["pairs"]
        if row["redis_ratio"] > ALLOWED_RATIO
    )


async def _compare(folder: Path, what: str, quote: Quote) -> list[Row]:
    async with AsyncExitStack() as stack:
        few, many = [
            await stack.enter_async_context(_bench(folder / name, stored, quote))
            for name, stored in zip(("few", "many"), COMPARED[what], strict=True)
        ]
        for bench in (few, many):
            await bench.window(max(TOGETHER))  # warm up
        rounds: dict[int, list[tuple[Pair, Pair]]] = {together: [] for together in TOGETHER}
        for _ in range(ROUNDS):
            for together, windows in rounds.items():
                windows.append((await few.window(together), await many.window(together)))
    return [_row(what, together, windows) for together, windows in rounds.items()]


def _row(what: str, together: int, windows: list[tuple[Pair, Pair]]) -> Row:
    few, many = (_median(side) for side in zip(*windows, strict=True))
    client_ratio = median(many.client_us / few.client_us for few, many in windows)
    redis_ratio = median(many.redis_us / few.redis_us for few, many in windows)
    return Row(what, together, few, many, client_ratio, redis_ratio)


def _median(pairs: Sequence[Pair]) -> Pair:
    return Pair(*(median(figures) for figures in zip(*map(astuple, pairs), strict=True)))


@asynccontextmanager
async def _bench(folder: Path, stored: Stored, quote: Quote) -> AsyncIterator[Bench]:
    folder.mkdir(parents=True)
    server = RedisServer(folder)
    server.start()
    connection = CountingConnection(server.url)
    try:
        await fill(connection, stored, quote)
        yield Bench(connection, stored, quote, server.process.pid)
    finally:
        await connection.aclose()
        server.kill()


def _quote(catalog: Catalog) -> Quote:
    """What admit would hold for a short chat call."""
    ask, key = Ask("gpt-5-mini", output_cap=500, text_bytes=200), Stored().key(0)
    chain, accounts = build_chain(catalog, key.groups, ask.model, CHAT, Random(0)), key.accounts("2026-11")
    model, now = catalog.models[ask.model], now_ms()
    return make_quote(
        Caller(key, OwnerRecord(key.owner)),
        accounts,
        ask,
        CHAT,
        model,
        model.price_at(now).terms,
        chain,
        catalog.revision,
        now,
        Learned(),
    )


def _table(rows: list[Row]) -> Table:
    title = f"hold + settle: medians of {ROUNDS} × {PAIRS:,} pairs (Redis CPU: ≤ ×{PROMISED_RATIO})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("with 1,000 → with 1,000,000")
    for column in (
        "at once",
        "round trips",
        "client CPU µs",
        "Redis CPU µs",
        "scripts/s",
        "scripts per CPU s of Redis",
    ):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.what,
            str(row.together),
            f"{row.many.round_trips:.3f}",
            f"{row.few.client_us:.0f} → {row.many.client_us:.0f} ×{row.client_ratio:.2f}",
            f"{row.few.redis_us:.1f} → {row.many.redis_us:.1f} ×{row.redis_ratio:.2f}",
            f"{2e6 / row.many.wall_us:,.0f}",
            f"{2e6 / row.many.redis_us:,.0f}",
        )
    return table
