"""Finding requests by any fields, in the order of time, a page at a time, however many there are.

Every field has an index in the order of time. A page is found by the one with the fewest rows in the span, and looks
at `LOOK` of them at most: if too few of those match, the page is short, and the next one goes on where it stopped. So
a page takes as long with a million requests as with ten million. Whether an index has few rows is counted, up to
`LOOK`: that takes a millisecond.

Where somebody sees several teams, each is a branch that is looked through like this. The pages of all branches are
merged down to where the first of them stopped: the horizon.
"""

import base64
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from extproc.index.file import DRIVERS
from extproc.index.rows import NAMES, Row
from extproc.index.totals import equal
from extproc.index.where import Where

LOOK: Final = 5_000
"""How many rows a page looks at."""

LEAST_LOOK: Final = 250
"""And a branch of it, however many there are."""


class Place(NamedTuple):
    """A place in the order of requests: by time, then by when they were first heard of."""

    time_ms: int
    id: int


@dataclass(frozen=True, slots=True)
class Page:
    """Requests in order. After the last page there is no `next_cursor`; a page may be empty though there is one."""

    rows: list[Row]
    next_cursor: str


class _Found(NamedTuple):
    places: list[Place]
    stopped: Place | None


def page(db: sqlite3.Connection, where: Where, limit: int, cursor: str, newest_first: bool = True) -> Page:
    """So many requests at most, behind the cursor. Raises `ValueError` for a cursor that was not given out."""
    after = place_of(cursor) if cursor else None
    branches = where.branches()
    look = max(LOOK // max(1, len(branches)), LEAST_LOOK)
    order = _Order(newest_first, after, where.from_ms, where.until_ms)
    found = [_branch(db, equal_to, where.statuses, order, limit, look) for equal_to in branches]
    places = {place for each in found for place in each.places}
    stops = [each.stopped for each in found if each.stopped is not None]
    horizon = None if not stops else max(stops) if newest_first else min(stops)
    within = [place for place in places if horizon is None or order.reached(place, horizon)]
    within.sort(reverse=newest_first)
    kept = within[:limit]
    end = kept[-1] if len(within) > limit else horizon
    return Page(_rows(db, kept), "" if end is None else cursor_of(end))


class Mark(NamedTuple):
    """How much was heard of, of which making of the file: one that is made again numbers its requests anew."""

    made: str
    id: int


def last(db: sqlite3.Connection) -> Mark:
    """The mark of the request that was last heard of."""
    (made,) = db.execute("SELECT value FROM about WHERE name = 'made'").fetchone()
    (number,) = db.execute("SELECT coalesce(max(id), 0) FROM requests").fetchone()
    return Mark(made, number)


def rows_after(db: sqlite3.Connection, where: Where, mark: Mark, limit: int) -> tuple[list[Row], Mark]:
    """Of the next requests that were heard of after a mark, those that match; and the mark of the last."""
    now = last(db)
    if now.made != mark.made or now.id <= mark.id:
        return [], now
    until = min(now.id, mark.id + limit)
    rows: dict[int, Row] = {}
    for branch in where.branches():
        conditions, values = _conditions(branch, where.statuses)
        found = db.execute(
            f"SELECT id, {_COLUMNS} FROM requests NOT INDEXED WHERE id > ? AND id <= ? AND time_ms >= ?"
            f" AND time_ms < ?{''.join(f' AND {one}' for one in conditions)}",
            (mark.id, until, where.from_ms, where.until_ms or _NEVER, *values),
        )
        rows |= {number: row_of(rest) for number, *rest in found}
    return [rows[number] for number in sorted(rows)], Mark(now.made, until)


def get(db: sqlite3.Connection, request_id: str, where: Where) -> Row | None:
    """The request with this id, if it is there and matches."""
    found = db.execute(f"SELECT {_COLUMNS} FROM requests WHERE request_id = ?", (request_id,)).fetchone()
    if found is None:
        return None
    row = row_of(found)
    seen = any(all(getattr(row, name) == value for name, value in each.items()) for each in where.branches())
    return row if seen else None


def row_of(found: Iterable[Any]) -> Row:
    """The row with these columns."""
    values = list(found)
    values[_STREAM] = bool(values[_STREAM])
    return Row(*values)


def cursor_of(place: Place) -> str:
    """A place, as it is given out."""
    return base64.urlsafe_b64encode(f"{place.time_ms}.{place.id}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """What was given out. Raises `ValueError` for anything else."""
    try:
        time_ms, number = map(int, base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("."))
        place = Place(time_ms, number)
        if cursor_of(place) == cursor and 0 <= time_ms < _NEVER and 0 <= number < _NEVER:
            return place
    except ValueError:
        pass
    raise ValueError(f"there is no cursor {cursor!r}: give the next_cursor of a page, or none")


_NEVER: Final = 2**62
_AT_ONCE: Final = 500
_STREAM: Final = NAMES.index("stream")
_COLUMNS: Final = ", ".join(f'"{name}"' for name in NAMES)


@dataclass(frozen=True, slots=True)
class _Order:
    """Which way to go through which span of time, behind which place."""

    newest_first: bool
    after: Place | None
    from_ms: int
    until_ms: int

    def reached(self, place: Place, horizon: Place) -> bool:
        """Whether it comes before the horizon, or is there."""
        return place >= horizon if self.newest_first else place <= horizon

    @property
    def by(self) -> str:
        """As SQL says it."""
        way = "DESC" if self.newest_first else "ASC"
        return f"ORDER BY time_ms {way}, id {way}"

    def conditions(self) -> tuple[str, list[str | int]]:
        """The span, and what lies behind the place."""
        lowest, highest = self.from_ms, (self.until_ms or _NEVER) - 1
        if self.after is None:
            return "time_ms BETWEEN ? AND ?", [lowest, highest]
        time_ms, number = self.after
        if self.newest_first:
            return (
                "time_ms BETWEEN ? AND ? AND (time_ms < ? OR id < ?)",
                [lowest, min(highest, time_ms), time_ms, number],
            )
        return "time_ms BETWEEN ? AND ? AND (time_ms > ? OR id > ?)", [max(lowest, time_ms), highest, time_ms, number]


def _branch(
    db: sqlite3.Connection,
    equal_to: Mapping[str, str],
    statuses: tuple[int, int] | None,
    order: _Order,
    limit: int,
    look: int,
) -> _Found:
    driver = _driver(db, equal_to, statuses, order, look)
    looked_at, values = _looked_at(driver, equal_to, statuses, order)
    conditions, more = _conditions(equal_to, statuses)
    matching = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    found = db.execute(
        f"SELECT time_ms, id FROM (SELECT * {looked_at} {order.by} LIMIT ?){matching} LIMIT ?",
        (*values, look, *more, limit + 1),
    )
    places = [Place(*each) for each in found]
    if len(places) > limit:
        return _Found(places, places[-1])
    last = db.execute(f"SELECT time_ms, id {looked_at} {order.by} LIMIT 1 OFFSET ?", (*values, look - 1)).fetchone()
    return _Found(places, Place(*last) if last else None)


def _rows(db: sqlite3.Connection, places: list[Place]) -> list[Row]:
    """The rows at these places, in their order."""
    rows: dict[int, Row] = {}
    for first in range(0, len(places), _AT_ONCE):
        ids = [place.id for place in places[first : first + _AT_ONCE]]
        found = db.execute(f"SELECT id, {_COLUMNS} FROM requests WHERE id IN ({', '.join('?' * len(ids))})", ids)
        rows |= {number: row_of(rest) for number, *rest in found}
    return [rows[place.id] for place in places]


def _driver(
    db: sqlite3.Connection, equal_to: Mapping[str, str], statuses: tuple[int, int] | None, order: _Order, look: int
) -> str:
    """The index that has the fewest rows in the span. That of a field has none of the rows in which it is empty."""
    names = [name for name in DRIVERS if equal_to.get(name) or (name == "class" and statuses)]
    if len(names) < 2:
        return names[0] if names else "time"
    counts = {}
    for name in names:
        looked_at, values = _looked_at(name, equal_to, statuses, order)
        (counts[name],) = db.execute(f"SELECT count(*) FROM (SELECT 1 {looked_at} LIMIT ?)", (*values, look)).fetchone()
    return min(counts, key=counts.__getitem__)


def _looked_at(
    driver: str, equal_to: Mapping[str, str], statuses: tuple[int, int] | None, order: _Order
) -> tuple[str, list[str | int]]:
    """What an index has in the span."""
    span, values = order.conditions()
    found = [f'"{driver}" = ?'] if driver != "time" else []
    found += [DRIVERS[driver]] if DRIVERS[driver] else []
    by: list[str | int] = []
    if driver == "class" and statuses:
        by = [statuses[0] // 100]
    elif driver != "time":
        by = [equal_to[driver]]
    return f"FROM requests INDEXED BY requests_{driver} WHERE {' AND '.join([*found, span])}", [*by, *values]


def _conditions(equal_to: Mapping[str, str], statuses: tuple[int, int] | None) -> tuple[list[str], list[str | int]]:
    conditions, values = equal(equal_to)
    if statuses:
        conditions.append("status BETWEEN ? AND ?")
        values += statuses
    return conditions, values
