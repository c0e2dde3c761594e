"""What is in the spool waits there until it is done: across kills, cuts, garbage, full disks and other workers."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from zlib import crc32

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.core.ledger import Account, AccountKind, End, State
from extproc.wire import spool as module
from extproc.wire.spool import Spool, decode, encode, sync_files
from tests.core import samples

ROOT = Path(__file__).parents[2]


def end(hold_id: str) -> End:
    """A settlement of 5 nano."""
    accounts = (Account(AccountKind.KEY, "key_1"), Account(AccountKind.WALLET, "alice"))
    return End(hold_id, "alice", accounts, State.REPORTED, 5, 1_000, 2_000, "trailers", '{"a":"b"}')


def ids(spool: Spool, limit: int = 1000) -> list[str]:
    """What is read next."""
    return [each.hold_id for each in spool.read(limit)]


def all_ids(spool: Spool, limit: int = 7) -> list[str]:
    """All that waits, read a few at a time to the end."""
    found: list[str] = []
    while more := ids(spool, limit):
        found += more
        spool.done()
    return found


def segments(folder: Path) -> list[Path]:
    """All segments, in order."""
    return sorted(folder.glob("*/*.jsonl"))


def filled(folder: Path, *hold_ids: str) -> Spool:
    """A spool with these reports."""
    spool = Spool(folder, 0)
    for hold_id in hold_ids:
        assert spool.append(end(hold_id))
    return spool


def adopted(folder: Path) -> Spool:
    """The spool of a worker that has just started."""
    spool = Spool(folder, 1)
    spool.adopt()
    return spool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where spools are; the first that needs it makes it."""
    return tmp_path / "data" / "spool"


# --- One worker -------------------------------------------------------------------------------------------------------


def test_what_is_not_needed_is_not_there(folder: Path) -> None:
    """No file before the first report waits, and none after the last is done."""
    spool = adopted(folder)
    assert not spool
    assert not folder.exists()
    spool.append(end("h0"))
    assert spool
    assert len(segments(folder)) == 1
    assert all_ids(spool) == ["h0"]
    assert not spool
    assert list(folder.iterdir()) == []


def test_reports_stay_until_they_are_done(folder: Path) -> None:
    """Reading again finds the same; done, the next ones; in order."""
    spool = filled(folder, *"abcde")
    assert ids(spool, 2) == ids(spool, 2) == ["a", "b"]
    spool.done()
    spool.append(end("f"))
    assert ids(spool, 3) == ["c", "d", "e"]
    assert spool.count() == 4
    spool.done()
    assert all_ids(spool) == ["f"]


@settings(samples.steady, max_examples=200)
@given(
    st.builds(
        End,
        hold_id=samples.words,
        owner=samples.words,
        accounts=samples.accounts,
        state=st.sampled_from(State),
        cost_nano=st.integers(-(2**53), 2**53),
        now_ms=st.integers(0, 2**43),
        deadline_ms=st.integers(0, 2**43),
        reporter=samples.words,
        record=samples.words,
    ),
    st.data(),
)
def test_a_line_is_one_report_or_none(report: End, data: st.DataObject) -> None:
    """Whole, it is read as it was written, and has one line feed, at its end; cut off or altered, it is nothing."""
    line = encode(report)
    assert decode(line) == report
    assert line.index(b"\n") == len(line) - 1
    cut = data.draw(st.integers(0, len(line) - 2))
    assert decode(line[:cut]) is None
    flipped = bytearray(line)
    flipped[data.draw(st.integers(0, len(line) - 2))] ^= data.draw(st.sampled_from([1, 2, 4, 8, 16, 64, 128]))
    assert decode(bytes(flipped)) in (None, report)


def test_segments_are_deleted_as_they_are_replayed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disk space comes back while others still wait, so a long replay under load needs no more and more of it."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 3 * len(encode(end("h00"))))
    spool = filled(folder, *(f"h{number:02}" for number in range(10)))
    before = segments(folder)
    assert len(before) == 4
    for first in (0, 3, 6):
        assert ids(spool) == [f"h{number:02}" for number in range(first, first + 3)]
        spool.done()
    assert ids(spool) == ["h09"]
    assert segments(folder) == before[3:]


def test_the_spool_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is full at its bound, adopted segments included, and has room again when they are replayed."""
    monkeypatch.setattr(module, "MAX_BYTES", 3 * len(encode(end("a"))))
    spool = filled(folder, "a", "b")
    assert not spool.full
    spool.append(end("c"))
    assert spool.full
    spool.close()
    successor = adopted(folder)
    assert successor.full
    assert all_ids(successor) == ["a", "b", "c"]
    assert not successor.full


def test_files_are_private(folder: Path) -> None:
    """Mode 0600 in folders of mode 0700."""
    filled(folder, "h0")
    (path,) = segments(folder)
    assert [place.stat().st_mode & 0o777 for place in (path, path.parent, folder)] == [0o600, 0o700, 0o700]


def test_what_was_written_is_synced_once(folder: Path) -> None:
    """File and folders are to be synced after the first write, the file again after the next, else nothing."""
    spool = filled(folder, "a", "b")
    first = spool.unsynced()
    assert [os.readlink(f"/proc/self/fd/{each}") for each in first] == [
        *map(str, (folder, segments(folder)[0].parent, segments(folder)[0]))
    ]
    sync_files(first)
    assert spool.unsynced() == []
    spool.append(end("c"))
    second = spool.unsynced()
    assert [os.readlink(f"/proc/self/fd/{each}") for each in second] == [str(segments(folder)[0])]
    sync_files(second)


# --- Kills ------------------------------------------------------------------------------------------------------------


def last(folder: Path) -> Path:
    """The segment that was written last."""
    return segments(folder)[-1]


def cut_last(folder: Path) -> None:
    """Take the last bytes of the last line away: killed, or out of power, while it was written."""
    os.truncate(last(folder), last(folder).stat().st_size - 5)


def append_bytes(more: bytes) -> Callable[[Path], None]:
    """More bytes at the end of the last segment."""

    def change(folder: Path) -> None:
        with last(folder).open("ab") as file:
            file.write(more)

    return change


def garble_middle(folder: Path) -> None:
    """The disk returns another byte in the second line."""
    text = bytearray(last(folder).read_bytes())
    text[text.index(b"\n") + 30] ^= 0x10
    last(folder).write_bytes(text)


def nothing(_folder: Path) -> None:
    """Killed between two reports."""


CRASHES: dict[str, tuple[Callable[[Path], None], str]] = {
    "between two reports": (nothing, "abc"),
    "within a line": (cut_last, "ab"),
    "within a line that begins": (append_bytes(encode(end("d"))[:1]), "abc"),
    "within a line but for its line feed": (append_bytes(encode(end("d"))[:-1]), "abcd"),
    "garbage at the end": (append_bytes(b"\x00" * 4096), "abc"),
    "garbage as a line": (append_bytes(b"garbage\n" + encode(end("d"))), "abcd"),
    "a line of another version": (append_bytes(b"00000000 {}\n\n" + encode(end("d"))), "abcd"),
    "a garbled line": (garble_middle, "ac"),
    "an empty segment": (lambda folder: (last(folder).parent / "000001.jsonl").touch(), "abc"),
    "an empty folder": (lambda folder: (folder / "0-0-0").mkdir(), "abc"),
    "a file that is no spool": (lambda folder: (folder / "stray").touch(), "abc"),
}


@pytest.mark.parametrize(("change", "expected"), CRASHES.values(), ids=CRASHES.keys())
def test_a_killed_worker_leaves_its_whole_lines(folder: Path, change: Callable[[Path], None], expected: str) -> None:
    """However it was killed, its successor finds every whole report, in order, and leaves nothing behind."""
    filled(folder, *"abc").close()
    change(folder)
    successor = adopted(folder)
    assert all_ids(successor) == list(expected)
    assert not successor
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


def test_unreadable_lines_cost_their_neighbours_nothing(folder: Path) -> None:
    """Read in vain, again and again, what stands around a garbled line is the same, and the line is logged once."""
    filled(folder, *"abc").close()
    garble_middle(folder)
    successor = adopted(folder)
    with structlog.testing.capture_logs() as logs:
        assert [ids(successor) for _ in range(3)] == [["a"]] * 3
        successor.done()
        assert [ids(successor) for _ in range(3)] == [["c"]] * 3
    assert [entry["event"] for entry in logs] == ["report_unreadable"]


def test_killed_between_telling_and_deleting(folder: Path) -> None:
    """The part of a segment that was told is told again, and nothing is left out."""
    first = filled(folder, *"abcd")
    assert ids(first, 2) == ["a", "b"]
    first.done()
    first.close()
    assert all_ids(adopted(folder)) == ["a", "b", "c", "d"]


def test_a_process_that_is_killed_loses_nothing(folder: Path) -> None:
    """A real SIGKILL right after the last append: all reports are there, and the lock is free."""
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.wire.test_spool import filled;"
        "spool = filled(Path(sys.argv[1]), *map(str, range(500)));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert all_ids(adopted(folder), 100) == [str(number) for number in range(500)]


# --- Several workers --------------------------------------------------------------------------------------------------


def test_a_living_worker_is_left_alone(folder: Path) -> None:
    """What a worker has is nobody else's while it lives, and one successor's when it is gone."""
    living = filled(folder, "a")
    other, third = adopted(folder), adopted(folder)
    assert not other
    living.close()
    other.adopt()
    third.adopt()
    assert (all_ids(other), all_ids(third)) == (["a"], [])


def test_all_that_was_left_is_adopted(folder: Path) -> None:
    """Fewer workers than before: one takes over what several left, the oldest first."""
    for name in "abc":
        filled(folder, name + "0", name + "1").close()
    for place, path in zip(count(), sorted({path.parent for path in segments(folder)}), strict=False):
        path.rename(path.with_name(f"{place:013}-0-0"))
    expected = [each.hold_id for path in segments(folder) for each in map(decode, path.open("rb")) if each]
    assert sorted(expected) == ["a0", "a1", "b0", "b1", "c0", "c1"]
    assert all_ids(adopted(folder)) == expected


def test_two_processes_adopt_at_once(folder: Path) -> None:
    """Of several processes that start together each folder is one's: nothing is read twice, nothing is left out."""
    names = [f"{name}{number}" for name in "abcdefgh" for number in range(5)]
    for name in "abcdefgh":
        filled(folder, *(f"{name}{number}" for number in range(5))).close()
    code = (
        "import sys; from pathlib import Path; from tests.wire.test_spool import adopted, all_ids;"
        "print('ready', flush=True); sys.stdin.readline();"
        "print('found', *all_ids(adopted(Path(sys.argv[1]))))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
    for process in started:
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
    lines = [line.split() for process in started for line in process.communicate()[0].decode().splitlines()]
    found = [name for words in lines if words[0] == "found" for name in words[1:]]
    assert sorted(found) == names
    assert list(folder.iterdir()) == []


def test_a_worker_goes_on_with_its_own_after_it_adopted_another(folder: Path) -> None:
    """Reports that come while adopted ones wait are its own, and all are replayed."""
    living = filled(folder, "a")
    worker = filled(folder, "x")
    living.close()
    worker.adopt()
    worker.append(end("y"))
    assert all_ids(worker) == ["x", "y", "a"]
    worker.append(end("z"))
    assert all_ids(worker) == ["z"]
    assert list(folder.iterdir()) == []


# --- Disks ------------------------------------------------------------------------------------------------------------


class Disk:
    """Stands for `os.write`: of what is written, `room` bytes fit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 10**9
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        """As much as fits, which may be a part; ENOSPC when nothing does."""
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk that can be full."""
    return Disk(monkeypatch)


@pytest.mark.parametrize("room", [0, 1, 50, len(encode(end("c"))) - 1])
def test_a_full_disk_costs_nothing_but_memory(folder: Path, disk: Disk, room: int) -> None:
    """Reports wait in memory, in order behind those in the file; when there is room again they go into the file."""
    spool = filled(folder, *"ab")
    disk.room = room
    for hold_id in "cd":
        assert spool.append(end(hold_id))
    assert ids(spool) == ["a", "b"]
    disk.room = 10**9
    assert ids(spool, 1) == ["a"]
    spool.append(end("e"))
    spool.close()
    assert all_ids(adopted(folder)) == ["a", "b", "c", "d", "e"]


def test_a_disk_that_stays_full(folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """All can be replayed from memory, in order; past its bound reports are refused; what is lost is told."""
    monkeypatch.setattr(module, "MAX_IN_MEMORY", 3)
    disk.room = 0
    spool = Spool(folder, 0)
    assert [spool.append(end(hold_id)) for hold_id in "abcd"] == [True, True, True, False]
    assert ids(spool, 2) == ["a", "b"]
    spool.done()
    assert spool.append(end("e"))
    assert ids(spool, 2) == ["c", "e"]
    assert [each.hold_id for each in spool.close()] == ["c", "e"]
    assert len(segments(folder)) <= 1


def test_a_full_disk_makes_no_new_file_at_each_try(folder: Path, disk: Disk) -> None:
    """The segment that was begun is used once there is room."""
    disk.room = 0
    spool = filled(folder, "a")
    for _ in range(10):
        ids(spool)
    assert len(segments(folder)) <= 1
    disk.room = 10**9
    assert all_ids(spool) == ["a"]


def test_a_cut_off_line_that_cannot_be_taken_back(folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the last of its segment, so no other report is lost with it."""
    monkeypatch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    spool = filled(folder, "a")
    disk.room = 20
    spool.append(end("b"))
    disk.room = 10**9
    ids(spool, 1)
    spool.append(end("c"))
    spool.close()
    assert all_ids(adopted(folder)) == ["a", "b", "c"]


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "a file is in the way": lambda folder: folder.write_text(""),
    "it leads nowhere": lambda folder: folder.symlink_to("/proc/none/spool"),
}


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_folder(folder: Path, spoil: Callable[[Path], object]) -> None:
    """Nothing is raised, and reports wait in memory."""
    folder.parent.mkdir()
    spoil(folder)
    spool = adopted(folder)
    assert spool.append(end("a"))
    assert all_ids(spool) == ["a"]


@pytest.mark.parametrize("before", [True, False], ids=["before it is locked", "after that"])
def test_a_folder_that_another_removes_while_it_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """A worker that sees the new folder before it is locked takes it for an empty one: then another is made."""
    lock, removals = module._lock, iter([True, False])

    def lose(path: Path) -> int:
        removed = next(removals, False)
        if removed and before:
            path.rmdir()
        descriptor = lock(path)
        if removed:
            path.rmdir()
        return descriptor

    monkeypatch.setattr(module, "_lock", lose)
    spool = filled(folder, "a", "b")
    assert ids(spool) == ["a", "b"]
    assert len(segments(folder)) == 1


def test_a_segment_that_cannot_be_read_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays where it is for a later try, and those behind it are replayed."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1)
    filled(folder, *"abc").close()
    successor = adopted(folder)
    middle, opened = segments(folder)[1], Path.open

    def fail(path: Path, mode: str) -> object:
        if path == middle:
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, mode)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", fail)
        assert all_ids(successor) == ["a", "c"]
    assert segments(folder) == [middle]
    successor.adopt()
    assert all_ids(successor) == ["b"]


# --- Anything ---------------------------------------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("done"), st.just(0)),
        st.tuples(st.just("disk"), st.sampled_from([0, 30, 250, 10**9])),
        st.tuples(st.just("kill"), st.just(0)),
    ),
    max_size=30,
)


@settings(samples.steady, max_examples=200, suppress_health_check=[*HealthCheck])
@given(steps=steps, segment_lines=st.integers(1, 4))
def test_any_life(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, int]], segment_lines: int
) -> None:
    """A queue is the specification: reads give its first ones, and a kill brings back what was done since, in order.

    A kill here is one after which memory could still be written; what a full disk costs is shown above.
    """
    folder = tmp_path_factory.mktemp("any") / "spool"
    numbers = (f"{number:04}" for number in count())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEGMENT_BYTES", segment_lines * len(encode(end("0000"))))
        disk = Disk(patch)
        spool, queue, batch = Spool(folder, 0), list[str](), list[str]()
        for step, number in steps:
            match step:
                case "append":
                    for name in islice(numbers, number):
                        assert spool.append(end(name))
                        queue.append(name)
                case "read":
                    batch = ids(spool, number)
                    assert batch == queue[: len(batch)]
                    assert bool(batch) == bool(queue)
                case "done":
                    spool.done()
                    queue = queue[len(batch) :]
                    batch = []
                case "disk":
                    disk.room = number
                case "kill":
                    disk.room = 10**9
                    spool.close()
                    spool, batch = adopted(folder), []
                    again = [each.hold_id for path in segments(folder) for each in map(decode, path.open("rb")) if each]
                    assert again[len(again) - len(queue) :] == queue
                    queue = again
        disk.room = 10**9
        assert all_ids(spool) == queue
        assert not list(folder.glob("*"))
        spool.close()


def test_a_report_of_this_version_is_read_without_its_newer_fields() -> None:
    """A field that a later version added is passed over; one it has not is taken from its default."""
    report = replace(end("a"), record="")
    text = encode(report)[9:-1].replace(b'"record":""', b'"colour":"red"')
    assert decode(b"%08x %s\n" % (crc32(text), text)) == report
