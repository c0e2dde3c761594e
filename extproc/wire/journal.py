"""Envoy's journal of ended requests: what the other reporters lost, and a kill of every worker loses nothing.

Envoy writes a line for every ended request into a file, whether or not a worker lives. One worker at a time reads them,
some seconds late: by then the trailers or the access log have told the ledger, which is asked for nothing but the
state. Only of a hold that nobody has ended the line is a report.

    journal.jsonl      Envoy appends; when it is long it is set aside as journal-old.jsonl, and Envoy begins another
    journal.position   which file was read how far; a line may be read twice, which changes nothing
    journal.lock       whose turn it is to read
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from extproc.core.ledger import Ledger, State
from extproc.errors import LedgerUnavailable
from extproc.wire import codec
from extproc.wire.reports import Reports

log = structlog.get_logger()

LAG_MS = 5_000
"""How old a line must be: the other reporters are given so long."""

BATCH = 200
READ_SECONDS = 1.0
ASIDE_BYTES = 64 * 1024 * 1024
"""When the journal is set aside."""

QUIET_SECONDS = 10.0
"""How long a file that was set aside must be quiet before it is removed: Envoy may still write into it."""


@dataclass(slots=True)
class Position:
    """How far a file was read; files are told apart by their inode, as they are renamed."""

    inode: int = 0
    offset: int = 0


class Journal:
    """The files in `folder`. `reopen` tells Envoy to begin a new file; it raises `OSError` when Envoy is away."""

    def __init__(self, folder: Path, reopen: Callable[[], None]) -> None:
        self._current = folder / "journal.jsonl"
        self._old = folder / "journal-old.jsonl"
        self._position_file = folder / "journal.position"
        self._lock_file = folder / "journal.lock"
        self._reopen = reopen
        self._lock: int | None = None
        self._position = Position()
        self._read_to = Position()

    def take(self) -> bool:
        """Whether it is this worker's turn to read, which it stays for as long as it lives."""
        if self._lock is None:
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._lock, self._position = descriptor, self.remembered()
        return True

    def leave(self) -> None:
        """Let another worker read."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, before_ms: int, limit: int) -> list[codec.JournalLine]:
        """The next lines of requests that ended before then. What is no line of ours is logged and skipped."""
        path = self._old if self._old.exists() else self._current
        found: list[codec.JournalLine] = []
        try:
            with path.open("rb") as file:
                known = os.fstat(file.fileno())
                same = known.st_ino == self._position.inode and known.st_size >= self._position.offset
                self._read_to = Position(known.st_ino, self._position.offset if same else 0)
                file.seek(self._read_to.offset)
                for raw in _whole_lines(file):
                    line = codec.read_journal_line(raw)
                    if line is None:
                        log.error("journal_line_unreadable", path=str(path), offset=self._read_to.offset)
                    elif line.ended_ms >= before_ms or len(found) == limit:
                        break
                    else:
                        found.append(line)
                    self._read_to.offset += len(raw)
        except FileNotFoundError:
            pass
        return found

    def done(self) -> None:
        """What was read last need not be read again."""
        if self._read_to != self._position:
            self._position = self._read_to
            aside = self._position_file.with_suffix(".new")
            aside.write_bytes(msgspec.json.encode(self._position))
            aside.replace(self._position_file)
        self._remove_old()
        self._set_aside()

    def remembered(self) -> Position:
        """How far was read, by whoever read last."""
        try:
            return msgspec.json.decode(self._position_file.read_bytes(), type=Position)
        except (OSError, msgspec.DecodeError):
            return Position()

    def _remove_old(self) -> None:
        """Once it is read to its end, and Envoy writes elsewhere."""
        if self._old.exists() and self._current.exists():
            known = self._old.stat()
            quiet = known.st_mtime + QUIET_SECONDS < time.time()
            if quiet and self._position == Position(known.st_ino, known.st_size):
                self._old.unlink()

    def _set_aside(self) -> None:
        if self._position.offset < ASIDE_BYTES or self._old.exists() or not self._current.exists():
            return
        if self._current.stat().st_ino == self._position.inode:
            self._current.rename(self._old)
            try:
                self._reopen()
            except OSError as error:
                log.warning("journal_not_reopened", error=str(error))


@dataclass(frozen=True, slots=True)
class Lag:
    """How much of the journal is yet to be read, and since when (Unix milliseconds) its first line stands there."""

    bytes: int = 0
    since_ms: int | None = None


def lag(folder: Path) -> Lag:
    """How far the reader of this folder's journal is behind. Lines are `LAG_MS` old before they are read."""
    position = Journal(folder, lambda: None).remembered()
    left, since_ms = 0, None
    for path in (folder / "journal-old.jsonl", folder / "journal.jsonl"):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            known = os.fstat(file.fileno())
            offset = position.offset if known.st_ino == position.inode else 0
            left += max(0, known.st_size - offset)
            file.seek(offset)
            line = codec.read_journal_line(next(_whole_lines(file), b"")) if since_ms is None else None
            since_ms = line.ended_ms if line else since_ms
    return Lag(left, since_ms)


async def run_journal(journal: Journal, ledger: Ledger, reports: Reports, now_ms: Callable[[], int]) -> None:
    """Report what nobody else has, until cancelled. An outage of the ledger is waited out."""
    try:
        while True:
            try:
                more = journal.take() and await _read_on(journal, ledger, reports, now_ms())
            except LedgerUnavailable:
                more = False
            except Exception:
                log.exception("journal_failed")
                more = False
            await asyncio.sleep(0 if more else READ_SECONDS)
    finally:
        journal.leave()


async def _read_on(journal: Journal, ledger: Ledger, reports: Reports, now_ms: int) -> bool:
    """Whether there may be more to read at once."""
    lines = journal.read(now_ms - LAG_MS, BATCH)
    states = await asyncio.gather(*(ledger.state(line.owner, line.request_id) for line in lines))
    for line, state in zip(lines, states, strict=True):
        if state <= State.EXPIRED:
            await _report(line, state, reports, now_ms)
    await asyncio.to_thread(journal.done)
    return len(lines) == BATCH


async def _report(line: codec.JournalLine, state: State, reports: Reports, now_ms: int) -> None:
    try:
        ended = codec.read_entry(line.entry())
    except (ValueError, TypeError, msgspec.MsgspecError):
        log.exception("journal_line_unreadable", request_id=line.request_id)
        return
    if ended is None:
        return
    if ended.quote:
        await reports.conclude(ended.quote, ended.report, "journal", now_ms)
    elif state is State.HELD:
        await reports.release_lost(ended, line.owner, "journal", now_ms)


def _whole_lines(file: Iterator[bytes]) -> Iterator[bytes]:
    """Envoy may be about to write the rest of the last one."""
    return (raw for raw in file if raw.endswith(b"\n"))
