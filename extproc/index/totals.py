"""Sums by day, kept in the same transaction as the rows they are of, so that no question about totals adds up requests.

A table of sums has few rows where it is by few fields. There is one by everything, and some by less, for what is asked
most; each question is answered by the smallest that has all it asks about, in an order that helps it. Only the pieces
of days at the ends of a span that does not begin or end at midnight are summed from requests: `PIECE_ROWS` at most, or
the question is refused.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import tzinfo
from operator import attrgetter, itemgetter
from typing import Final

from extproc.index.days import Span, day_of
from extproc.index.rows import Row
from extproc.index.where import By, Where

PIECE_ROWS: Final = 1_000_000
MOST: Final = 1_000
"""What is told at most beside the sum of all: the dearest."""

FAILED: Final = "status >= 400"
"""What the index of statuses has: most requests do not fail, and are found faster without."""

_ALL: Final = ("owner", "day", "team", "member", "key_id", "model", "group", "channel", "status")
SUMS: Final = ("requests", "failed", "input_tokens", "cache_read_tokens", "output_tokens", "cost_nano")


class TooMany(ValueError):
    """A question that would have to add up too many requests."""


@dataclass(frozen=True, slots=True)
class Level:
    """A table of sums by these fields, in whose order it is kept; `indexes` are beside that."""

    table: str
    names: tuple[str, ...]
    indexes: tuple[str, ...] = ()


LEVELS: Final = (
    Level("totals_of_models", ("day", "model", "group")),
    Level("totals_of_channels", ("day", "channel", "status")),
    Level("totals_of_answers", ("day", "model", "group", "channel", "status")),
    Level("totals_of_keys", ("owner", "day", "team", "member", "key_id"), ("(day)",)),
    Level(
        "totals_of_owners_models", ("owner", "day", "team", "member", "key_id", "model", "group"), ("(key_id, day)",)
    ),
    Level("totals_of_models_owners", ("model", "day", "owner", "team", "member", "key_id", "group")),
    Level("totals_of_owners", _ALL, ("(key_id, day)", f"(status, day) WHERE {FAILED}")),
    Level(
        "totals_of_channels_owners", ("channel", "model", *(name for name in _ALL if name not in ("channel", "model")))
    ),
)
_FIELD: Final = {By.KEY: "key_id"}


@dataclass(frozen=True, slots=True)
class Total:
    """The sums of what matches and is `of` the same; `failed` of them have a status of 400 or more, or none at all."""

    of: str
    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    cost_nano: int = 0

    def plus(self, other: "Total") -> "Total":
        """Both together."""
        return Total(self.of, *(a + b for a, b in zip(_sums(self), _sums(other), strict=True)))


_sums = attrgetter(*(each.name for each in fields(Total)[1:]))


class Deltas:
    """What is to be added to the tables, of any number of rows that came or went."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._sums: dict[tuple[str | int, ...], list[int]] = defaultdict(lambda: [0] * len(SUMS))

    def add(self, row: Row, sign: int = 1) -> None:
        """A row came, or with -1 went."""
        day = day_of(row.time_ms, self._zone)
        of = (
            *(row.owner, day, row.team, row.member, row.key_id),
            *(row.model, row.group, row.channel, row.status),
        )
        more = (1, row.failed, row.input_tokens, row.cache_read_tokens, row.output_tokens, row.cost_nano)
        known = self._sums[of]
        for place, value in enumerate(more):
            known[place] += sign * value

    def write(self, db: sqlite3.Connection) -> None:
        """Add it all."""
        for level in LEVELS:
            kept = itemgetter(*(_ALL.index(name) for name in level.names))
            sums: dict[tuple[str | int, ...], list[int]] = defaultdict(lambda: [0] * len(SUMS))
            for of, more in self._sums.items():
                known = sums[kept(of)]
                for place, value in enumerate(more):
                    known[place] += value
            db.executemany(_upsert(level), ((*of, *more) for of, more in sums.items() if any(more)))


def forget_days(db: sqlite3.Connection, before: str) -> None:
    """Delete what is left of the days before this one: sums of nothing."""
    for level in LEVELS:
        db.execute(f"DELETE FROM {level.table} WHERE day < ? AND requests = 0", (before,))


def totals(db: sqlite3.Connection, where: Where, by: By, zone: tzinfo) -> tuple[list[Total], Total]:
    """The totals, the dearest first, days in their order; and the sum of all of them. Raises `TooMany`."""
    span = Span.of(where.from_ms, where.until_ms, zone)
    found: dict[str, Total] = {}
    for each in (*_whole_days(db, where, by, span), *_pieces(db, where, by, span, zone)):
        found[each.of] = found.get(each.of, Total(each.of)).plus(each)
    kept = [each for each in found.values() if each.requests]
    everything = Total("")
    for each in kept:
        everything = everything.plus(each)
    kept.sort(key=(lambda each: each.of) if by is By.DAY else (lambda each: (-each.cost_nano, each.of)))
    return kept[:MOST] if by is not By.DAY else kept[-MOST:], everything


def _whole_days(db: sqlite3.Connection, where: Where, by: By, span: Span) -> Iterator[Total]:
    conditions, values = matching(where)
    level = _level(where, by)
    for name, bound, compared in (("day", span.first, ">="), ("day", span.end, "<")):
        if bound:
            conditions.append(f"{name} {compared} ?")
            values.append(bound)
    yield from _summed(db, level.table, _of(by), _SUMMED, conditions, values)


def _pieces(db: sqlite3.Connection, where: Where, by: By, span: Span, zone: tzinfo) -> Iterator[Total]:
    left = PIECE_ROWS
    for piece in span.pieces:
        index, found, by_index = _found_by(where)
        within = [*found, "time_ms >= ?", "time_ms < ?"]
        looked_at = f"SELECT 1 FROM requests {index} WHERE {' AND '.join(within)} LIMIT ?"
        left -= db.execute(f"SELECT count(*) FROM ({looked_at})", (*by_index, *piece, left + 1)).fetchone()[0]
        if left < 0:
            raise TooMany(
                f"more than {PIECE_ROWS:,} requests are in a part of a day: ask for whole days, from midnight to "
                "midnight, or for one owner, key or model"
            )
        of = f"'{day_of(piece[0], zone)}'" if by is By.DAY else _of(by)
        conditions, values = matching(where)
        yield from _summed(db, f"requests {index}", of, _COUNTED, [*within, *conditions], [*by_index, *piece, *values])


def _found_by(where: Where) -> tuple[str, list[str], list[str | int]]:
    """The index by which the requests of a piece are found, the condition on it, and its values."""
    name = next((name for name in ("key_id", "owner", "model") if getattr(where, name)), None)
    if name is None and where.owners is not None:
        marks = ", ".join("?" * len(where.owners))
        return "INDEXED BY requests_owner", [f"owner IN ({marks})"], [*where.owners]
    values: list[str | int] = [getattr(where, name)] if name else []
    return f"INDEXED BY requests_{name or 'time'}", [f"{name} = ?"] if name else [], values


def _summed(
    db: sqlite3.Connection, table: str, of: str, sums: str, conditions: list[str], values: list[str | int]
) -> Iterable[Total]:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return [Total(*found) for found in db.execute(f"SELECT {of} AS it, {sums} FROM {table}{where} GROUP BY it", values)]


_SUMMED: Final = ", ".join(f"sum({name})" for name in SUMS)
_COUNTED: Final = ", ".join(
    ("count(*)", "sum(status >= 400 OR usage_source = 'expired')", *(f"sum({name})" for name in SUMS[2:]))
)


def matching(where: Where) -> tuple[list[str], list[str | int]]:
    """The conditions on the fields of a request, all but the time's, with their values."""
    conditions, values = equal(where.equal)
    if statuses := where.statuses:
        conditions.append("status BETWEEN ? AND ?")
        values += statuses
        conditions += [FAILED] if statuses[0] >= 400 else []
    if where.visible is not None:
        each = [equal(dict(one.names())) for one in where.visible]
        conditions.append(" OR ".join(f"({' AND '.join(one)})" for one, _ in each).join("()") if each else "0")
        values += [value for _, some in each for value in some]
    return conditions, values


def equal(names: Mapping[str, str]) -> tuple[list[str], list[str | int]]:
    """The conditions that fields have these values."""
    return [f'"{name}" = ?' for name in names], list(names.values())


def _level(where: Where, by: By) -> Level:
    asked = {*where.equal, _FIELD.get(by, by.value), *({"status"} if where.status else ())}
    for one in where.visible or ():
        asked |= {name for name, _ in one.names()}
    if by is By.TEAM:
        asked.add("owner")
    able = (level for level in LEVELS if asked <= set(level.names))
    return min(able, key=lambda level: (len(level.names), level.names[0] not in where.equal))


def _of(by: By) -> str:
    """A team is told with its owner, as accounts are: two owners may have a team of one name."""
    if by is By.TEAM:
        return "CASE team WHEN '' THEN '' ELSE owner || '/' || team END"
    return f'"{_FIELD.get(by, by.value)}"'


def _upsert(level: Level) -> str:
    names = ", ".join(f'"{name}"' for name in level.names)
    marks = ", ".join("?" * (len(level.names) + len(SUMS)))
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
    return (
        f"INSERT INTO {level.table} ({names}, {', '.join(SUMS)}) VALUES ({marks})"
        f" ON CONFLICT ({names}) DO UPDATE SET {added}"
    )
