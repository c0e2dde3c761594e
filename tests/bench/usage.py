"""Questions about a million requests, beside the same about ten thousand: lists, each filter, the worst, totals.

Both are written into the usage logs of a Redis and read into an index as the admin service does it. They have the same
owners, keys, models and days; only the number of requests differs. The questions take turns between the two. What is
compared is CPU, which on a machine of its own is the time; beside it stands how long one waited on this one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from extproc.core.identity import KeyRecord
from extproc.core.ledger import State, bucket_of
from extproc.core.pricing import ONE, Rates, Usage
from extproc.core.record import UsageRecord
from extproc.index.days import begin_ms
from extproc.index.index import Index
from extproc.index.where import By, Visible, Where
from extproc.store import keys
from extproc.store.connection import Connection
from tests.store.redis_server import RedisServer

FEW, MANY = 10_000, 1_000_000
OWNERS, KEYS, MODELS, GROUPS, CHANNELS, DAYS = 200, 1_000, 40, 5, 8, 30
PROMISED_MS: Final = 200
ALLOWED_RATIO: Final = 3.0
"""Of a list, a million : ten thousand; where it takes less than `TELLING_MS`, nothing is said."""

TELLING_MS: Final = 50
ROUNDS: Final = 9
AT_ONCE: Final = 500

ZONE: Final = ZoneInfo("Europe/Berlin")
FIRST_MS: Final = begin_ms("2026-10-01", ZONE)
DAY_MS: Final = 86_400_000
STATUSES: Final = {200: 970, 429: 15, 400: 6, 500: 6, 503: 3}

Ask = Callable[[Index], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Answered:
    """What one question took of few and of many requests: CPU in ms, medians; and the median time with many."""

    question: str
    few_ms: float
    many_ms: float
    waited_ms: float

    @property
    def ratio(self) -> float:
        """Many : few."""
        return self.many_ms / self.few_ms


def run(folder: Path, console: Console) -> dict[str, Any]:
    """Fill both, ask both, and print; figures in milliseconds, and what filling took."""
    return asyncio.run(_run(folder, console))


def slow(results: dict[str, Any]) -> str:
    """What breaks a promise, a line for each; empty when nothing does."""
    lines = [
        f"{each['question']}: {each['many_ms']:.0f} ms (promised: {PROMISED_MS})"
        for each in results["questions"]
        if each["many_ms"] > PROMISED_MS
    ]
    lines += [
        f"{each['question']}: ×{each['ratio']:.1f} with a hundred times the requests (allowed: {ALLOWED_RATIO})"
        for each in results["questions"]
        if each["many_ms"] > TELLING_MS and each["ratio"] > ALLOWED_RATIO and each["question"].startswith("list")
    ]
    return "\n".join(lines)


async def _run(folder: Path, console: Console) -> dict[str, Any]:
    async with _filled(folder / "few", FEW) as few, _filled(folder / "many", MANY) as many:
        answered = [await _answered(what, ask, few.index, many.index) for what, ask in _questions().items()]
    table = Table(title=f"{MANY:,} requests beside {FEW:,}: ms of CPU", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("question")
    for column in ("few", "many", "many : few", "waited with many"):
        table.add_column(column, justify="right")
    for each in answered:
        figures = (f"{each.few_ms:.1f}", f"{each.many_ms:.1f}", f"{each.ratio:.1f}", f"{each.waited_ms:.1f}")
        table.add_row(each.question, *figures)
    console.print(table)
    console.print(
        f"read into the index: {MANY / many.seconds:,.0f} a second of CPU; {many.megabytes:,.0f} MB; "
        f"a look for news: {many.news_ms:.1f} ms of CPU"
    )
    return {
        "records_per_second": MANY / many.seconds,
        "megabytes": many.megabytes,
        "news_ms": many.news_ms,
        "questions": [
            {
                "question": each.question,
                "few_ms": each.few_ms,
                "many_ms": each.many_ms,
                "waited_ms": each.waited_ms,
                "ratio": each.ratio,
            }
            for each in answered
        ],
    }


@dataclass(frozen=True, slots=True)
class _Filled:
    index: Index
    seconds: float
    megabytes: float
    news_ms: float


@asynccontextmanager
async def _filled(folder: Path, number: int) -> Any:
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    connection = Connection(server.url)
    index = Index(folder / "index.sqlite", ZONE)
    try:
        await _write(connection, number)
        began = time.process_time()
        assert await index.fill(connection) == number
        filled = time.process_time()
        await index.fill_for(connection, Where())
        news_ms = (time.process_time() - filled) * 1000
        yield _Filled(index, filled - began, (folder / "index.sqlite").stat().st_size / 1e6, news_ms)
    finally:
        index.close()
        await connection.aclose()
        server.kill()


async def _write(connection: Connection, number: int) -> None:
    records = _records(number)
    await connection.execute("SADD", keys.OWNERS, *(f"owner-{each}" for each in range(OWNERS)))
    while some := [record for _, record in zip(range(AT_ONCE), records, strict=False)]:
        await asyncio.gather(*(_add(connection, record) for record in some))


async def _add(connection: Connection, record: UsageRecord) -> None:
    words = ("id", record.request_id, "owner", record.owner, "state", State.REPORTED.value, "reporter", "trailers")
    words += ("cost", record.cost_nano, "late", 0, "at", record.time_ms, "record", msgspec.json.encode(record).decode())  # type: ignore[assignment]
    await connection.execute("XADD", keys.usage(bucket_of(record.owner)), "*", *words)


def _records(number: int) -> Iterator[UsageRecord]:
    """In the order of time. Of owners, keys, models and channels the first are asked for most, as in life."""
    draw = Random(0)
    key_weights, model_weights = ([1 / (rank + 1) for rank in range(many)] for many in (KEYS, MODELS))
    for each in range(number):
        key = _key(draw.choices(range(KEYS), key_weights)[0])
        model = draw.choices(range(MODELS), model_weights)[0]
        (status,) = draw.choices(list(STATUSES), list(STATUSES.values()))
        usage = Usage.of(draw.randrange(20, 20_000), cache_read=draw.randrange(20), output_tokens=draw.randrange(2_000))
        yield UsageRecord(
            request_id=f"{draw.getrandbits(128):032x}",
            time_ms=FIRST_MS + each * DAYS * DAY_MS // number,
            owner=key.owner,
            key_id=key.key_id,
            key_prefix=key.prefix,
            accounts=key.accounts("2026-10"),
            group=f"group-{int(key.key_id[4:]) % GROUPS}",
            model=f"model-{model}",
            vendor_model=f"vendor-model-{model}",
            channel=f"channel-{draw.randrange(CHANNELS)}",
            operation="openai.chat",
            stream=bool(draw.getrandbits(1)),
            status=status,
            attempts=1,
            usage=usage,
            usage_source="reported",
            cost_nano=usage.total_tokens * 100,
            hold_nano=4_000_000,
            rates=Rates(1_000_000, 0, 0, 0, 0),
            multiplier_ppm=ONE,
            revision="0123456789ab",
            reporter="trailers",
            first_byte_ms=300,
            duration_ms=2_000,
        )


def _key(number: int) -> KeyRecord:
    team, member = ("", "") if number % 2 else (f"team-{number % 3}", f"person-{number % 500}")
    return KeyRecord(f"key_{number}", f"owner-{number % OWNERS}", "sk-abcdefg", "", "g", team=team, member=member)


def _questions() -> dict[str, Ask]:
    """The rarest and the most frequent value of each field, and combinations of which little or nothing matches."""
    middle = FIRST_MS + DAYS * DAY_MS // 2
    teams = tuple(Visible(f"owner-{each}", f"team-{each % 3}") for each in range(0, 60, 2))
    lists = {
        "all": Where(),
        "of a day, long ago": Where(from_ms=FIRST_MS + DAY_MS, until_ms=FIRST_MS + 2 * DAY_MS),
        "of an owner": Where(owner="owner-0"),
        "of a small owner": Where(owner="owner-199"),
        "of a team": Where(owner="owner-0", team="team-0"),
        "of a member": Where(member="person-0"),
        "of a key": Where(key_id="key_0"),
        "of a rare key": Where(key_id="key_999"),
        "of a model": Where(model="model-0"),
        "of a rare model": Where(model="model-39"),
        "of a group": Where(group="group-0"),
        "of a channel": Where(channel="channel-0"),
        "of a status": Where(status="429"),
        "of all errors of vendors": Where(status="5xx"),
        "of nothing that there is": Where(model="none"),
        "key, model, group, channel, status": Where(
            key_id="key_0", model="model-0", group="group-0", channel="channel-0", status="2xx"
        ),
        "owner and rare model": Where(owner="owner-0", model="model-39"),
        "channel and group, status 503": Where(channel="channel-1", group="group-1", status="503"),
        "owner and another's key": Where(owner="owner-0", key_id="key_1"),
        "frequent fields, nothing of both": Where(owner="owner-0", group="group-1"),
        "four frequent fields, nothing of all": Where(
            owner="owner-1", group="group-0", model="model-0", channel="channel-0"
        ),
        "of 30 teams": Where(visible=teams),
        "of 30 teams, status 4xx": Where(visible=teams, status="4xx"),
        "of 30 teams, none": Where(visible=teams, group="group-1", model="model-39"),
    }
    days = Where(from_ms=FIRST_MS + 3 * DAY_MS, until_ms=FIRST_MS + 10 * DAY_MS)
    sums = {
        **{f"by {by.value}": (Where(), by) for by in By},
        "by day, of a key": (Where(key_id="key_0"), By.DAY),
        "by model, of an owner": (Where(owner="owner-0"), By.MODEL),
        "by member, of a model": (Where(model="model-0"), By.MEMBER),
        "by key, of a model, a status and a channel": (
            Where(model="model-0", status="2xx", channel="channel-0"),
            By.KEY,
        ),
        "by owner, of a week": (days, By.OWNER),
        "by key, of a week cut on both sides": (
            replace(days, from_ms=days.from_ms + DAY_MS // 2, until_ms=days.until_ms + DAY_MS // 2),
            By.KEY,
        ),
        "by model, of 30 teams": (Where(visible=teams), By.MODEL),
    }
    return {
        **{f"list: {name}": _page(where) for name, where in lists.items()},
        "list: all, from the middle on": _page(Where(until_ms=middle)),
        "list: the last page of a key": _last_page(Where(key_id="key_0")),
        "export: the first 2,000": _exported,
        **{f"totals: {name}": _totals(where, by) for name, (where, by) in sums.items()},
    }


def _page(where: Where) -> Ask:
    return lambda index: index.page(where, 100)


def _last_page(where: Where) -> Ask:
    return lambda index: index.page(replace(where, until_ms=FIRST_MS + DAY_MS), 100)


async def _exported(index: Index) -> None:
    async for _ in index.export(Where()):
        return


def _totals(where: Where, by: By) -> Ask:
    return lambda index: index.totals(where, by)


async def _answered(question: str, ask: Ask, few: Index, many: Index) -> Answered:
    took: dict[Index, list[tuple[float, float]]] = {few: [], many: []}
    for _ in range(ROUNDS + 1):
        for index, each in took.items():
            began, cpu = time.perf_counter(), time.process_time()
            await ask(index)
            each.append(((time.process_time() - cpu) * 1000, (time.perf_counter() - began) * 1000))
    (few_ms, _), (many_ms, waited_ms) = (map(median, zip(*each[1:], strict=True)) for each in took.values())
    return Answered(question, few_ms, many_ms, waited_ms)
