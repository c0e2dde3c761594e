"""Entries of the usage log by what tests ask about, and a model of the index in plain Python."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from extproc.core.identity import KeyRecord
from extproc.core.ledger import State, bucket_of
from extproc.core.pricing import FREE, Terms, Usage
from extproc.core.quote import Line, Quote
from extproc.core.record import UsageRecord
from extproc.core.scale import Scale
from extproc.index.rows import Row
from extproc.index.totals import Total
from extproc.index.where import By, Visible, Where
from extproc.store import keys
from extproc.store.connection import Connection

ZONE = ZoneInfo("Asia/Kathmandu")
"""Its days begin at 18:15 UTC."""

HOUR_MS = 3_600_000
START_MS = 1_790_000_000_000
NEIGHBOUR = next(name for name in map("neighbour{}".format, count()) if bucket_of(name) == bucket_of("ada"))
OWNERS = ("ada", NEIGHBOUR, "grace")
TEAMS = (("", ""), ("red", ""), ("red", "bob"), ("blue", "bob"), ("blue", "carol"))
KEYS = tuple(
    KeyRecord(f"key{number}-{owner}", owner, f"sk-{number}", "", "main", team=team, member=member)
    for owner in OWNERS
    for number, (team, member) in enumerate(TEAMS)
)
MODELS, GROUPS, CHANNELS, STATUSES = ("gpt", "claude"), ("main", "spare"), ("a", "b", None), (200, 404, 429, 500, 0)


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of a request: of which key, when it was admitted, what it says, and what it charged."""

    request_id: str
    key: KeyRecord
    time_ms: int
    state: State
    cost_nano: int
    model: str = "gpt"
    group: str = "main"
    channel: str | None = "a"
    status: int = 200
    tokens: int = 7
    record: str | None = None
    """What is written in place of a record, where that is not one."""

    @property
    def fields(self) -> dict[str, str | int]:
        """As it stands in the log."""
        return {
            "id": self.request_id,
            "owner": self.key.owner,
            "state": self.state.value,
            "reporter": "test",
            "cost": self.cost_nano,
            "late": 0,
            "at": self.time_ms + 5,
            "record": self.text if self.record is None else self.record,
        }

    @property
    def text(self) -> str:
        """Its record; of an expired one only the quote is known."""
        said = self._quote() if self.state is State.EXPIRED else self._record()
        return msgspec.json.encode(said).decode()

    def _record(self) -> UsageRecord:
        return UsageRecord(
            **self._both(),
            request_id=self.request_id,
            time_ms=self.time_ms,
            vendor_model=f"vendor-{self.model}",
            channel=self.channel,
            status=self.status,
            attempts=2,
            usage=Usage.of(self.tokens, cache_read=self.tokens // 2, output_tokens=3, reasoning=1, cache_write_1h=1),
            usage_source=self.state.name.lower() if self.state.settled else "none",
            cost_nano=self.cost_nano,
            rates=FREE,
            multiplier_ppm=1,
            reporter="test",
            first_byte_ms=None,
            duration_ms=9,
        )

    def _quote(self) -> Quote:
        return Quote(
            **self._both(),
            generates=True,
            text_bytes=0,
            input_tokens=1,
            output=Scale(1, 1),
            held_ms=self.time_ms,
            deadline_ms=self.time_ms + 1,
            terms=Terms(FREE),
            lines={"a": Line("main", 1, "vendor-gpt")},
        )

    def _both(self) -> dict[str, Any]:
        return {
            "owner": self.key.owner,
            "key_id": self.key.key_id,
            "key_prefix": self.key.prefix,
            "accounts": self.key.accounts("2026-11"),
            "group": self.group,
            "model": self.model,
            "operation": "openai.chat",
            "stream": True,
            "revision": "rev1",
            "hold_nano": 40,
        }


async def write(redis: Connection, *told: Told) -> None:
    """Write entries into the logs of their owners, as the scripts do."""
    for each in told:
        bucket = bucket_of(each.key.owner)
        await redis.execute("SADD", keys.OWNERS, each.key.owner)
        words = [word for pair in each.fields.items() for word in pair]
        await redis.execute("XADD", keys.usage(bucket), "*", *words)


def expected_rows(told: Iterable[Told]) -> list[Row]:
    """The rows of these entries, newest first, those of one moment by their ids."""
    rows: dict[str, Row] = {}
    for each in told:
        before = rows.get(each.request_id)
        row = _row(each)
        if before is not None:
            row = replace(row, time_ms=before.time_ms, cost_nano=before.cost_nano + each.cost_nano)
        rows[each.request_id] = row
    return sorted(rows.values(), key=lambda row: (-row.time_ms, row.request_id))


def matches(row: Row, where: Where) -> bool:
    """Whether a row is what was asked for, and may be seen."""
    named = all(getattr(row, name) == value for name, value in where.equal.items())
    in_time = where.from_ms <= row.time_ms < (where.until_ms or 2**62)
    seen = where.visible is None or any(_sees(each, row) for each in where.visible)
    wanted = where.status.replace("x", "")
    return named and in_time and seen and (not wanted or str(row.status).startswith(wanted))


def expected_totals(rows: Iterable[Row], by: By) -> list[Total]:
    """The sums of these rows, in order."""
    sums: dict[str, Total] = {}
    for row in rows:
        more = Total(
            _of(row, by),
            1,
            row.status >= 400 or row.usage_source == "expired",
            row.input_tokens,
            row.cache_read_tokens,
            row.output_tokens,
            row.cost_nano,
        )
        sums[more.of] = sums.get(more.of, Total(more.of)).plus(more)
    return sorted(sums.values(), key=lambda total: ("" if by is By.DAY else -total.cost_nano, total.of))


def _row(told: Told) -> Row:
    known = Row(told.request_id, told.time_ms, told.key.owner, cost_nano=told.cost_nano)
    source = told.state.name.lower() if told.state.settled or told.state is State.EXPIRED else "none"
    known = replace(
        known,
        team=told.key.team,
        member=told.key.member,
        key_id=told.key.key_id,
        key_prefix=told.key.prefix,
        group=told.group,
        model=told.model,
        operation="openai.chat",
        stream=True,
        hold_nano=40,
        usage_source=source,
        revision="rev1",
    )
    if told.state is State.EXPIRED:
        return known
    return replace(
        known,
        vendor_model=f"vendor-{told.model}",
        channel=told.channel or "",
        status=told.status,
        attempts=2,
        input_tokens=told.tokens,
        cache_read_tokens=told.tokens // 2,
        cache_write_tokens=min(1, told.tokens - told.tokens // 2),
        output_tokens=3,
        reasoning_tokens=1,
        duration_ms=9,
    )


def _sees(visible: Visible, row: Row) -> bool:
    own = visible.owner == row.owner
    return own and visible.team in (None, row.team) and visible.member in (None, row.member)


def _of(row: Row, by: By) -> str:
    if by is By.DAY:
        return datetime.fromtimestamp(row.time_ms / 1000, ZONE).strftime("%Y-%m-%d")
    if by is By.TEAM:
        return f"{row.owner}/{row.team}" if row.team else ""
    return str(getattr(row, "key_id" if by is By.KEY else by.value))


def _ends() -> st.SearchStrategy[list[State]]:
    """The states that one request is lifted to, always upwards."""
    states = [State.EXPIRED, State.RELEASED, State.ESTIMATED, State.PARTIAL, State.REPORTED]
    return st.lists(st.sampled_from(states), min_size=1, max_size=3, unique=True).map(sorted)


@st.composite
def requests(draw: st.DrawFn, request_id: str) -> list[Told]:
    """All entries of one request: a charge, then perhaps what corrects it."""
    key, time_ms = draw(st.sampled_from(KEYS)), START_MS + draw(st.integers(0, 12)) * HOUR_MS * 5
    told = []
    for state in draw(_ends()):
        told.append(
            Told(
                request_id,
                key,
                time_ms,
                state,
                draw(st.integers(-5, 20)) if state.settled else 0,
                draw(st.sampled_from(MODELS)),
                draw(st.sampled_from(GROUPS)),
                draw(st.sampled_from(CHANNELS)),
                draw(st.sampled_from(STATUSES)),
                draw(st.integers(0, 9)),
            )
        )
    return told


@st.composite
def logs(draw: st.DrawFn, most: int = 25) -> list[Told]:
    """The entries of many requests, in any order that keeps each one's own."""
    each = [draw(requests(f"r{number}")) for number in range(draw(st.integers(1, most)))]
    turns = draw(st.permutations([number for number, told in enumerate(each) for _ in told]))
    left = [iter(told) for told in each]
    return [next(left[number]) for number in turns]


visibles = st.none() | st.lists(
    st.builds(Visible, st.sampled_from(OWNERS))
    | st.builds(Visible, st.sampled_from(OWNERS), st.sampled_from(["red", "blue"]))
    | st.builds(Visible, st.sampled_from(OWNERS), st.sampled_from(["red", "blue"]), st.sampled_from(["bob", "carol"])),
    max_size=3,
).map(tuple)
"""What somebody may see: everything, nothing, or a few things that may overlap."""


def _maybe(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["", "", *values])


_moments = st.sampled_from([0, 0, 0]) | st.integers(START_MS - HOUR_MS, START_MS + 65 * HOUR_MS)

wheres = st.builds(
    Where,
    from_ms=_moments,
    until_ms=_moments,
    owner=_maybe(*OWNERS),
    team=_maybe("red", "blue"),
    member=_maybe("bob"),
    key_id=_maybe("key1-ada", "key2-ada"),
    model=_maybe(*MODELS),
    group=_maybe(*GROUPS),
    channel=_maybe("a"),
    status=_maybe("200", "4xx", "404", "0"),
    visible=visibles,
)
