"""What was read becomes rows, totals and a position, all of it in one transaction, or none.

The position a batch was read behind must still be the file's: where another process has written meanwhile it is not,
and the batch is read again. So each entry is counted once, whoever fills, and whatever is killed when.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from operator import attrgetter
from typing import Final

import structlog

from extproc.core.ledger import bucket_of
from extproc.index.changes import add_change
from extproc.index.days import day_of
from extproc.index.pages import row_of
from extproc.index.rows import NAMES, Row, Unreadable, entry_of, row_after
from extproc.index.source import Batch, Log
from extproc.index.totals import Deltas, forget_days
from extproc.store.usage import FIRST

log = structlog.get_logger()

_IDS_AT_ONCE: Final = 500
_TRIMMED_AT_ONCE: Final = 5_000


def positions(db: sqlite3.Connection) -> dict[str, str]:
    """How far each log was read."""
    return dict(db.execute("SELECT stream, position FROM positions"))


def write(db: sqlite3.Connection, batches: Iterable[Batch], zone: tzinfo) -> tuple[int, int]:
    """Add what was read, where nobody else has; how many entries that were, and how many more could not be read."""
    read = unreadable = 0
    deltas, rows = Deltas(zone), _Rows(db)
    for batch in batches:
        if _position(db, batch.log) != batch.after:
            continue
        if batch.lost:
            log.warning("index_reads_again", log=batch.log.stream, was_at=batch.after)
            _forget(db, batch.log, deltas)
        bad = _write_usage(rows, batch, deltas) if batch.log.usage else _write_changes(db, batch)
        read, unreadable = read + len(batch.entries) - bad, unreadable + bad
        _set_position(db, batch)
    rows.write()
    deltas.write(db)
    return read, unreadable


def trim(db: sqlite3.Connection, before_ms: int, zone: tzinfo) -> int:
    """Delete some of the requests that were admitted before this; how many, 0 when there are no more."""
    deltas = Deltas(zone)
    found = db.execute(
        f"SELECT id, {_COLUMNS} FROM requests INDEXED BY requests_time WHERE time_ms < ? ORDER BY time_ms LIMIT ?",
        (before_ms, _TRIMMED_AT_ONCE),
    ).fetchall()
    for _, *row in found:
        deltas.add(row_of(row), -1)
    db.executemany("DELETE FROM requests WHERE id = ?", ((number,) for number, *_ in found))
    deltas.write(db)
    if not found:
        forget_days(db, day_of(before_ms, zone))
    return len(found)


class _Rows:
    """Rows that become others, written at the end."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[str, Row | None] = {}
        self._changed: dict[str, Row] = {}

    def load(self, ids: Iterable[str]) -> None:
        """Read those of the file."""
        asked = [each for each in dict.fromkeys(ids) if each not in self._known]
        self._known |= dict.fromkeys(asked)
        for first in range(0, len(asked), _IDS_AT_ONCE):
            some = asked[first : first + _IDS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            for found in self._db.execute(f"SELECT {_COLUMNS} FROM requests WHERE request_id IN ({marks})", some):
                row = row_of(found)
                self._known[row.request_id] = row

    def get(self, request_id: str) -> Row | None:
        """One that was loaded, if it is there."""
        return self._known.get(request_id)

    def put(self, row: Row) -> None:
        """The row as it is now."""
        self._known[row.request_id] = self._changed[row.request_id] = row

    def write(self) -> None:
        """Write those that changed."""
        self._db.executemany(_UPSERT, map(_values, self._changed.values()))


def _write_usage(rows: _Rows, batch: Batch, deltas: Deltas) -> int:
    bad = 0
    rows.load(id_ for _, written in batch.entries if (id_ := _id(written)) is not None)
    for position, written in batch.entries:
        try:
            entry = entry_of(written)
            before = rows.get(entry.hold_id)
            row = row_after(before, entry)
        except Unreadable as error:
            bad += 1
            log.warning("usage_unreadable", log=batch.log.stream, entry=position, error=str(error))
            continue
        if before is not None:
            deltas.add(before, -1)
        deltas.add(row)
        rows.put(row)
    return bad


def _write_changes(db: sqlite3.Connection, batch: Batch) -> int:
    bad = 0
    for position, written in batch.entries:
        try:
            add_change(db, batch.log.stream, written)
        except Unreadable as error:
            bad += 1
            log.warning("change_unreadable", log=batch.log.stream, entry=position, error=str(error))
    return bad


def _id(written: Mapping[str, str]) -> str | None:
    """The request's id, if it is one that a row can have."""
    request_id = written.get("id")
    try:
        (request_id or "").encode()
    except UnicodeEncodeError:
        return None
    return request_id


def _forget(db: sqlite3.Connection, lost: Log, deltas: Deltas) -> None:
    """Delete what came from this log."""
    if not lost.usage:
        db.execute("DELETE FROM changes WHERE stream = ?", (lost.stream,))
        return
    db.execute("UPDATE about SET value = hex(randomblob(8)) WHERE name = 'made'")
    owners = [owner for (owner,) in db.execute("SELECT DISTINCT owner FROM totals_of_keys")]
    for owner in owners:
        if bucket_of(owner) == lost.bucket:
            for row in db.execute(f"SELECT {_COLUMNS} FROM requests WHERE owner = ?", (owner,)):
                deltas.add(row_of(row), -1)
            db.execute("DELETE FROM requests WHERE owner = ?", (owner,))


def _position(db: sqlite3.Connection, of: Log) -> str:
    found = db.execute("SELECT position FROM positions WHERE stream = ?", (of.stream,)).fetchone()
    return found[0] if found else FIRST


def _set_position(db: sqlite3.Connection, batch: Batch) -> None:
    position = batch.entries[-1][0] if batch.entries else FIRST if batch.lost else batch.after
    db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (batch.log.stream, position))


_values: Final = attrgetter(*NAMES)
_COLUMNS: Final = ", ".join(f'"{name}"' for name in NAMES)
_UPSERT: Final = (
    f"INSERT INTO requests ({_COLUMNS}) VALUES ({', '.join('?' * len(NAMES))}) ON CONFLICT (request_id) DO UPDATE SET "
    + ", ".join(f'"{name}" = excluded."{name}"' for name in NAMES[1:])
)
