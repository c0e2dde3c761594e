"""What waits on disk, as the parent sees it: reports in spools, lines of the journal."""

from pathlib import Path

import pytest

from extproc.wire import spool
from extproc.wire.journal import Lag, lag
from extproc.wire.spool import Spool
from tests.wire.test_journal import NOW_MS, Files, encode, line, read
from tests.wire.test_reports import release


def test_reports_of_every_worker_wait_until_they_are_told(tmp_path: Path) -> None:
    """Those of two workers add up; what is done is counted until its segment is, and then no more."""
    assert spool.waiting(tmp_path / "nowhere") == 0
    spools = [Spool(tmp_path, index) for index in range(2)]
    for number in range(5):
        spools[number % 2].append(release(f"h{number}"))
    assert spool.waiting(tmp_path) == 5
    while spools[0].read(10):
        spools[0].done()
    assert spool.waiting(tmp_path) == 2
    spools[1].close()
    assert spool.waiting(tmp_path) == 2


def test_reports_in_memory_are_those_that_no_file_takes(tmp_path: Path) -> None:
    """A folder that is a file cannot be written into: the report waits in memory, and on no disk."""
    (tmp_path / "spool").touch()
    full = Spool(tmp_path / "spool", 0)
    full.append(release("h"))
    assert (full.in_memory, spool.waiting(tmp_path / "spool")) == (1, 0)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """An empty folder."""
    return Files(tmp_path)


def test_the_journal_is_behind_by_what_is_not_read(files: Files) -> None:
    """Since when the first unread line stands there, and how many bytes; nothing once all is read."""
    assert lag(files.folder) == Lag(0, None)
    lines = [line(f"r{number}", ended_ms=NOW_MS - 100_000 + number) for number in range(3)]
    files.append(*lines)
    assert lag(files.folder) == Lag(len(encode(*lines)), NOW_MS - 100_000)
    journal = files.journal()
    read(journal, limit=1)
    assert lag(files.folder) == Lag(len(encode(*lines[1:])), NOW_MS - 100_000 + 1)
    read(journal)
    assert lag(files.folder) == Lag(0, None)


def test_a_journal_set_aside_comes_first(files: Files) -> None:
    """Both files count, and the older one has the first line; a half line has no time yet."""
    old, new = line("old", ended_ms=NOW_MS - 60_000), line("new", ended_ms=NOW_MS - 50_000)
    files.append(old)
    files.current.rename(files.folder / "journal-old.jsonl")
    files.append(new)
    files.append_raw(b'{"id":')
    assert lag(files.folder) == Lag(len(encode(old, new)) + 6, NOW_MS - 60_000)
    journal = files.journal()
    read(journal)
    assert lag(files.folder) == Lag(len(encode(new)) + 6, NOW_MS - 50_000)


def test_a_journal_that_is_unreadable_still_shows_its_size(files: Files) -> None:
    """What is no line has no time."""
    files.append_raw(b"\xff nonsense\n")
    assert lag(files.folder) == Lag(11, None)
