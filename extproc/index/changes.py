"""The record of changes in the file, newest first."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from extproc.core.change import Change
from extproc.index.days import YEAR_9999_MS
from extproc.index.pages import Place, cursor_of, place_of
from extproc.index.rows import Unreadable

_COLUMNS = 'at_ms, who, what, owner, "of", "before", "after"'


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of changes, newest first. After the last page there is no `next_cursor`."""

    changes: list[Change]
    next_cursor: str


def add_change(db: sqlite3.Connection, stream: str, written: Mapping[str, str]) -> None:
    """Add an entry of a log, by its fields. Raises `Unreadable`."""
    try:
        at_ms = int(written["at"])
        texts = [written[name] for name in ("who", "what", "owner", "of", "before", "after")]
        "".join(texts).encode()
    except KeyError as error:
        raise Unreadable(f"it has no {error}") from error
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if not 0 <= at_ms < YEAR_9999_MS:
        raise Unreadable("its time is out of bounds")
    db.execute(f"INSERT INTO changes (stream, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (stream, at_ms, *texts))


def changes(db: sqlite3.Connection, owner: str, of: str, limit: int, cursor: str) -> Changes:
    """So many at most behind the cursor, of this owner and this id if they are given. Raises `ValueError`."""
    conditions, values = [], []
    for name, value in (("of", of), ("owner", owner)):
        if value:
            conditions.append(f'"{name}" = ?')
            values.append(value)
    places: list[int] = []
    if cursor:
        time_ms, number = place_of(cursor)
        conditions.append("at_ms <= ? AND (at_ms < ? OR id < ?)")
        places = [time_ms, time_ms, number]
    index = "changes_of" if of else "changes_owner" if owner else "changes_time"
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    found = db.execute(
        f"SELECT id, {_COLUMNS} FROM changes INDEXED BY {index} {where} ORDER BY at_ms DESC, id DESC LIMIT ?",
        (*values, *places, limit + 1),
    ).fetchall()
    next_cursor = cursor_of(Place(found[limit - 1][1], found[limit - 1][0])) if len(found) > limit else ""
    return Changes([Change(*change) for _, *change in found[:limit]], next_cursor)
