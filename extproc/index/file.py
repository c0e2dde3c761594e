"""The file: opened, made where there is none, and made anew where it is of another version, zone, or no database.

It is never needed: everything in it is in Redis. So it may be deleted at any time, also while it is open; whoever
looks next makes another. Several processes may have it open, and read and fill it at once.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

import structlog

from extproc.index.totals import LEVELS, SUMS

log = structlog.get_logger()

WAIT_SECONDS: Final = 60
"""How long one process waits for another that writes."""

DRIVERS: Final = {
    "time": "",
    "owner": "",
    "team": "team <> ''",
    "member": "member <> ''",
    "key_id": "",
    "model": "",
    "group": "",
    "channel": "channel <> ''",
    "class": "",
}
"""What requests are found by, each in the order of time; an index holds only the rows for which this is so."""

_TABLES: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (stream TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL UNIQUE, time_ms INTEGER NOT NULL, owner TEXT NOT NULL,
  team TEXT NOT NULL, member TEXT NOT NULL, key_id TEXT NOT NULL, key_prefix TEXT NOT NULL, "group" TEXT NOT NULL,
  model TEXT NOT NULL, vendor_model TEXT NOT NULL, channel TEXT NOT NULL, operation TEXT NOT NULL,
  stream INTEGER NOT NULL, status INTEGER NOT NULL, attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL, cost_nano INTEGER NOT NULL, hold_nano INTEGER NOT NULL,
  usage_source TEXT NOT NULL, first_byte_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL, revision TEXT NOT NULL,
  "class" INTEGER NOT NULL GENERATED ALWAYS AS (status / 100) VIRTUAL
);
CREATE TABLE changes (
  id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, at_ms INTEGER NOT NULL, who TEXT NOT NULL,
  what TEXT NOT NULL, owner TEXT NOT NULL, "of" TEXT NOT NULL, "before" TEXT NOT NULL, "after" TEXT NOT NULL
);
CREATE INDEX changes_time ON changes (at_ms);
CREATE INDEX changes_owner ON changes (owner, at_ms);
CREATE INDEX changes_of ON changes ("of", at_ms);
"""


MEANING: Final = 1
"""Of what is written into the tables: another number where the same columns come to mean something else."""

VERSION: Final = crc32(repr((MEANING, _TABLES, DRIVERS, LEVELS, SUMS)).encode()) & 0x7FFFFFFF
"""A file of another one is made anew."""


class File:
    """One SQLite file for days in one time zone."""

    def __init__(self, path: Path, zone: str) -> None:
        self.path = path
        self._zone = zone
        self._opened: tuple[int, int] | None = None
        self._readers: list[sqlite3.Connection] = []
        self._writers: list[sqlite3.Connection] = []
        self._checking = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the file as it is at its first question."""
        with self._borrowed(self._readers) as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The only connection of all processes that writes; all that it wrote is kept, or, on an error, nothing."""
        with self._borrowed(self._writers) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def close(self) -> None:
        """Close what nobody uses."""
        for pool in (self._readers, self._writers):
            while pool:
                pool.pop().close()

    @contextmanager
    def _borrowed(self, pool: list[sqlite3.Connection]) -> Iterator[sqlite3.Connection]:
        with self._checking:
            self._check()
            opened = self._opened
        try:
            db = pool.pop()
        except IndexError:
            db = self._connect()
        try:
            yield db
        except BaseException:
            db.close()
            raise
        if opened == self._opened:
            pool.append(db)
        else:
            db.close()

    def _check(self) -> None:
        """Open another file where the one that was opened is not there any more."""
        if self._opened is not None and self._opened == _identity(self.path):
            return
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._beside(".lock"), "w") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX)
            try:
                self._make()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                log.warning("index_unreadable", path=str(self.path), error=str(error))
                self.path.unlink()
                self._make()
        self._opened = _identity(self.path)

    def _make(self) -> None:
        if not self.path.exists():
            for rest in ("-wal", "-shm"):
                self._beside(rest).unlink(missing_ok=True)
        with closing(self._connect()) as db:
            db.execute("PRAGMA journal_mode = WAL")
            if _version(db) == (VERSION, self._zone):
                return
            db.execute("BEGIN EXCLUSIVE")
            if (there := _version(db)) != (VERSION, self._zone):
                if there[0]:
                    log.warning("index_made_anew", path=str(self.path), was=there, now=(VERSION, self._zone))
                _make_tables(db, self._zone)
            db.execute("COMMIT")

    def _beside(self, end: str) -> Path:
        return self.path.with_name(self.path.name + end)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        for setting in ("synchronous = NORMAL", "cache_size = -16384", "temp_store = MEMORY"):
            db.execute(f"PRAGMA {setting}")
        return db


def _version(db: sqlite3.Connection) -> tuple[int, str]:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        return version, ""
    return version, db.execute("SELECT value FROM about WHERE name = 'zone'").fetchone()[0]


def _make_tables(db: sqlite3.Connection, zone: str) -> None:
    there = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall()
    for (name,) in there:
        db.execute(f'DROP TABLE "{name}"')
    for statement in _TABLES.split(";"):
        db.execute(statement)
    for name, only in DRIVERS.items():
        column = "" if name == "time" else f'"{name}", '
        where = f" WHERE {only}" if only else ""
        db.execute(f"CREATE INDEX requests_{name} ON requests ({column}time_ms){where}")
    for level in LEVELS:
        names = ", ".join(f'"{name}"' for name in level.names)
        sums = ", ".join(f"{name} INTEGER NOT NULL" for name in SUMS)
        db.execute(f"CREATE TABLE {level.table} ({names}, {sums}, PRIMARY KEY ({names})) WITHOUT ROWID")
        for number, columns in enumerate(level.indexes):
            db.execute(f"CREATE INDEX {level.table}_{number} ON {level.table} {columns}")
    db.execute("INSERT INTO about VALUES ('zone', ?), ('made', hex(randomblob(8)))", (zone,))
    db.execute(f"PRAGMA user_version = {VERSION}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
