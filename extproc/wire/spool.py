"""The reports that the ledger could not take yet, in files, where they outlive the worker.

    spool/                              one folder for all workers of a machine
    └── 1700000000000000000-0-9f3a61c2/     one worker's, made at its first report that must wait; locked while it lives
        ├── 000000.jsonl                a segment: up to `SEGMENT_BYTES` of lines `crc32 End-as-JSON`
        └── 000001.jsonl

A worker appends to the last segment of its own folder and replays from the first; a segment that is replayed is
deleted, a folder without segments too. So there is no position to remember: what is there waits. A worker that is
killed while it replays leaves a segment of which a part was told; its successor tells that part again, which changes
nothing, as every report may be repeated.

The lock is a `flock` of the folder, which the kernel lifts when the worker ends, however it ends. A folder that can be
locked is left behind, and whoever locks it replays it. (This needs a local file system, as does a Unix socket.)

A line is with the operating system before the next report is looked at, so it survives `kill -9`. It is on the disk
once `sync_files` has run, so a power cut costs what came since. A line that was cut off fails its checksum and is
skipped. Files hold metadata only, as the usage log does, and only their owner can read them.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from zlib import crc32

import msgspec
import structlog

from extproc.core.ledger import End

log = structlog.get_logger()

SEGMENT_BYTES = 1024 * 1024
"""What is told again at most when a worker is killed while it replays, some 700 reports."""

MAX_BYTES = 256 * 1024 * 1024
"""What one worker keeps, what it took over included: some 180,000 reports."""

MAX_IN_MEMORY = 10_000
"""Reports that are kept while no file can be written."""

_CHECKSUM_LENGTH = len(b"00000000 ")
_decoder = msgspec.json.Decoder(End)


def encode(end: End) -> bytes:
    """One line of a segment. JSON has no line feed of its own."""
    text = msgspec.json.encode(end)
    return b"%08x %s\n" % (crc32(text), text)


def decode(line: bytes) -> End | None:
    """The report in a line, None if it was cut off or is no report."""
    text = line[_CHECKSUM_LENGTH:].removesuffix(b"\n")
    try:
        if int(line[: _CHECKSUM_LENGTH - 1], 16) != crc32(text):
            return None
        return _decoder.decode(text)
    except ValueError:
        return None


def waiting(folder: Path) -> int:
    """How many reports wait in this folder, whoever left them there. One that is being replayed may count still."""
    lines = 0
    for path in folder.glob("*/*.jsonl"):
        with contextlib.suppress(OSError):  # replayed meanwhile
            lines += path.read_bytes().count(b"\n")
    return lines


def sync_files(descriptors: Iterable[int]) -> None:
    """Wait until these files are on the disk, and close them. Blocks for as long as the disk takes."""
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        except OSError as error:
            log.error("spool_not_synced", error=str(error))
        finally:
            os.close(descriptor)


@dataclass(slots=True)
class _Segment:
    path: Path
    bytes: int = 0


class Spool:
    """One worker's line of waiting reports: segments, its own and those it took over, then what is in memory.

    No method raises `OSError`. While no file can be written, reports wait in memory, and go to a file at the first
    `read` that finds one can be written again. Methods block for one small write or read of the page cache.
    """

    def __init__(self, folder: Path, index: int) -> None:
        self._folder, self._index = folder, index
        self._locks: dict[Path, int] = {}
        self._segments: deque[_Segment] = deque()
        self._bytes = 0
        self._offset = self._read_to = 0
        """How much of the first segment is done, and how much of it was read."""
        self._own: Path | None = None
        self._made = 0
        self._active: _Segment | None = None
        self._descriptor = -1
        self._memory: deque[bytes] = deque()
        self._memory_read = 0
        self._unsynced: list[int] = []
        self._active_unsynced = False
        self._unwritable = False

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._segments or self._memory)

    @property
    def in_memory(self) -> int:
        """How many reports wait where a crash would lose them."""
        return len(self._memory)

    @property
    def full(self) -> bool:
        """Whether no more should be appended."""
        return self._bytes >= MAX_BYTES

    def append(self, end: End) -> bool:
        """Put it at the end of the line; False when neither file nor memory has room."""
        line = encode(end)
        if not self._memory and self._write(line):
            return True
        if len(self._memory) >= MAX_IN_MEMORY:
            return False
        self._memory.append(line)
        return True

    def read(self, limit: int) -> list[End]:
        """The first ones of the line, at most `limit`; none when nothing waits. They stay until `done`."""
        while self._memory and self._write(self._memory[0]):
            self._memory.popleft()
        self._memory_read = 0
        while self._segments:
            if ends := self._read_segment(limit):
                return ends
            self._remove_segment()
        self._memory_read = min(limit, len(self._memory))
        return [end for line in islice(self._memory, limit) if (end := decode(line))]

    def done(self) -> None:
        """What was read last need not wait any more."""
        self._offset = self._read_to
        for _ in range(self._memory_read):
            self._memory.popleft()
        self._memory_read = 0

    def adopt(self) -> None:
        """Take over, at the end of the line, the folders of workers that are gone."""
        try:
            folders = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("spool_unreadable", path=str(self._folder), error=str(error))
            return
        for folder in folders:
            self._take_over(folder)

    def unsynced(self) -> list[int]:
        """Descriptors for `sync_files`: all that was written since the last time."""
        found, self._unsynced, self._active_unsynced = self._unsynced, [], False
        return found

    def count(self) -> int:
        """How many reports wait in files, closed or not. Reads them all."""
        lines = 0
        for place, segment in enumerate(self._segments):
            with contextlib.suppress(OSError):
                lines += segment.path.read_bytes().count(b"\n", 0 if place else self._offset)
        return lines

    def close(self) -> list[End]:
        """Leave the files to a successor; what is lost, because no file could be written."""
        while self._memory and self._write(self._memory[0]):
            self._memory.popleft()
        sync_files(self.unsynced())
        self._close_active()
        for lock in self._locks.values():
            os.close(lock)
        self._locks.clear()
        self._own = None
        return [end for line in self._memory if (end := decode(line))]

    # --- Writing ------------------------------------------------------------------------------------------------------

    def _write(self, line: bytes) -> bool:
        try:
            segment = self._writable(len(line))
            written = os.write(self._descriptor, line)
            if written < len(line):
                self._cut_back(segment)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if not self._unwritable:
                log.error("spool_unwritable", path=str(self._folder), error=str(error))
            self._unwritable = True
            return False
        segment.bytes += written
        self._bytes += written
        self._unwritable = False
        return True

    def _writable(self, more_bytes: int) -> _Segment:
        if self._active is None or self._active.bytes + more_bytes > SEGMENT_BYTES:
            self._close_active()
            self._active = self._new_segment()
        if not self._active_unsynced:
            self._unsynced.append(os.dup(self._descriptor))
            self._active_unsynced = True
        return self._active

    def _cut_back(self, segment: _Segment) -> None:
        """A cut-off line must be the last of its segment, or the next one would be lost with it."""
        try:
            os.ftruncate(self._descriptor, segment.bytes)
        except OSError:
            self._close_active()

    def _new_segment(self) -> _Segment:
        """Open the next segment for writing. A folder that was just made may be taken by another worker: try again."""
        folder = self._own or self._make_own()
        path = folder / f"{self._made:06}.jsonl"
        try:
            self._unsynced.append(os.dup(self._locks[folder]))
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError:
            self._leave_if_empty(folder)
            raise
        self._made += 1
        self._segments.append(_Segment(path))
        return self._segments[-1]

    def _make_own(self) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._folder / f"{time.time_ns()}-{self._index}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        self._locks[folder] = _lock(folder)
        self._unsynced.append(os.open(self._folder, os.O_RDONLY))
        self._own, self._made = folder, 0
        return folder

    def _close_active(self) -> None:
        if self._active is not None:
            os.close(self._descriptor)
        self._active, self._active_unsynced = None, False

    # --- Reading ------------------------------------------------------------------------------------------------------

    def _read_segment(self, limit: int) -> list[End]:
        """The next reports of the first segment. What is unreadable is skipped when it comes first, so only once."""
        path, ends = self._segments[0].path, list[End]()
        self._read_to = self._offset
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                while len(ends) < limit and (line := file.readline()):
                    end = decode(line)
                    if end is not None:
                        ends.append(end)
                    elif ends:
                        break
                    else:
                        log.error("report_unreadable", path=str(path), offset=self._offset, bytes=len(line))
                        self._offset += len(line)
                    self._read_to += len(line)
        except OSError as error:
            log.error("spool_unreadable", path=str(path), error=str(error))
        return ends

    def _remove_segment(self) -> None:
        """One that could not be read to its end stays where it is, to be adopted again."""
        segment = self._segments.popleft()
        if segment is self._active:
            self._close_active()
        try:
            if self._offset >= segment.bytes:
                segment.path.unlink()
        except OSError as error:
            log.error("spool_not_removed", path=str(segment.path), error=str(error))
        self._bytes -= segment.bytes
        self._offset = self._read_to = 0
        self._leave_if_empty(segment.path.parent)

    def _take_over(self, folder: Path) -> None:
        try:
            self._locks[folder] = _lock(folder)
        except OSError:  # in use, by this worker or another, or just removed, or no folder
            return
        found = []
        with contextlib.suppress(OSError):
            found = [_Segment(path, path.stat().st_size) for path in sorted(folder.glob("*.jsonl"))]
        self._segments.extend(found)
        self._bytes += sum(segment.bytes for segment in found)
        if found:
            log.info("spool_adopted", folder=folder.name, segments=len(found))
        self._leave_if_empty(folder)

    def _leave_if_empty(self, folder: Path) -> None:
        if not any(segment.path.parent == folder for segment in self._segments):
            self._leave(folder)

    def _leave(self, folder: Path) -> None:
        """Remove a folder of which nothing waits; one that another has removed already is gone all the same."""
        with contextlib.suppress(OSError):
            folder.rmdir()
        os.close(self._locks.pop(folder))
        if folder == self._own:
            self._own = None


def _lock(folder: Path) -> int:
    """The descriptor of a locked folder. Raises `BlockingIOError` when another has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
