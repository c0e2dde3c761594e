"""Lines of the journal that a full disk, a crash or a hand have spoiled: each is read or skipped, and none stops it."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from extproc.core.learned import Learned
from extproc.core.memory_ledger import MemoryLedger
from extproc.wire import codec
from extproc.wire.journal import LAG_MS, Journal, _read_on
from extproc.wire.reports import Reports
from extproc.wire.spool import Spool
from tests.core.samples import steady
from tests.wire.test_journal import NOW_MS, Files, encode, line

GOOD = encode(line("r1"))
NASTY = [
    b"\x00",
    b"\xff",
    b"\n",
    b'"',
    b"{",
    b"}",
    b"null",
    b"1e999",
    b"-1",
    b"9" * 30,
    b'"x"',
    b"[" * 2000,
    b"\\ud800",
]
values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | st.just({"x": "y"})
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A good line with pieces put in, cut out and doubled."""
    raw = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        piece = draw(st.sampled_from(NASTY) | st.binary(max_size=4) | st.just(raw[start:end] * 2))
        raw = raw[:start] + piece + raw[draw(st.sampled_from([start, end])) :]
    return raw + b"\n"


@st.composite
def wrong(draw: st.DrawFn) -> bytes:
    """A good line in which one member, or one of its usage, is something else."""
    told: dict[str, Any] = line("r1")
    place = draw(st.sampled_from([told, told["usage"], told["meta"]]))
    place[draw(st.sampled_from(sorted(place)))] = draw(values)
    return encode(told)


@steady
@given(st.lists(spoiled() | wrong(), min_size=1, max_size=3))
@example([encode(line("r1") | {"start_ms": "soon"})])
@example([encode(line("r1") | {"duration_ms": 2**62})])
@example([encode(line("r1") | {"meta": {"owner": "o", "quote": "no quote"}})])
def test_no_line_stops_the_journal(lines: list[bytes]) -> None:
    """The file is read to its end, or to what has not happened yet."""
    with TemporaryDirectory() as folder:
        files = Files(Path(folder))
        files.append_raw(b"".join(lines) + encode(line("the last")))
        asyncio.run(read_on(files.journal(), Path(folder)))
        left = files.journal()
        assert left.read(NOW_MS - LAG_MS, 100) == []
        rest = files.current.read_bytes()[left._read_to.offset :].splitlines(keepends=True)
        assert not rest or ((to_come := codec.read_journal_line(rest[0])) and to_come.ended_ms >= NOW_MS - LAG_MS)


async def read_on(journal: Journal, folder: Path) -> None:
    """Read and report what there is, as the task of a worker does."""
    ledger = MemoryLedger()
    await _read_on(journal, ledger, Reports(ledger, Learned(), Spool(folder, 0), lambda: NOW_MS), NOW_MS)
    journal.leave()
