"""Reports wait while the ledger is away, in order, and each reaches it in the end, whatever becomes of the worker."""

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.core.ending import Report
from extproc.core.learned import Learned
from extproc.core.ledger import HOLD_MS, KEEP_MS, Account, AccountKind, End, EndResult, Hold, Outcome, State
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.pricing import Usage
from extproc.core.record import UsageRecord
from extproc.dialects.routes import CHAT
from extproc.errors import LedgerUnavailable
from extproc.wire import reports as module
from extproc.wire.reports import Reports
from extproc.wire.spool import Spool
from tests.core import samples

NOW_MS = 1_700_000_000_000
DEADLINE_MS = NOW_MS + HOLD_MS


class Link(Enum):
    """What becomes of a call."""

    UP = "it is answered"
    DOWN = "it does not arrive"
    DEAF = "it takes effect, but its answer is lost"
    SILENT = "it arrives, and is neither done nor answered"


class Flaky(MemoryLedger):
    """A ledger behind a link; it remembers what arrived, in order. What `fails` names fails alone."""

    def __init__(self, link: Link = Link.UP) -> None:
        super().__init__()
        self.link = link
        self.told: list[End] = []
        self.fails: dict[str, Exception] = {}
        self.calls = 0

    async def end(self, end: End) -> EndResult:
        self.calls += 1
        if end.hold_id in self.fails:
            raise self.fails[end.hold_id]
        if self.link is Link.DOWN:
            raise LedgerUnavailable("gone")
        if self.link is Link.SILENT:
            await asyncio.Event().wait()
        self.told.append(end)
        answer = await super().end(end)
        if self.link is Link.DEAF:
            raise LedgerUnavailable("no answer")
        return answer

    @property
    def told_ids(self) -> list[str]:
        """What arrived, each at its first time."""
        return list(dict.fromkeys(end.hold_id for end in self.told))


class Worker:
    """One worker's reports, over a spool of its own in a folder that outlives it."""

    def __init__(self, ledger: Flaky, folder: Path, now_ms: Callable[[], int] = lambda: NOW_MS) -> None:
        self.spool = Spool(folder, 0)
        self.reports = Reports(ledger, Learned(), self.spool, now_ms)
        self._running = asyncio.create_task(self.reports.run())

    async def idle(self) -> None:
        """Until nothing waits any more."""
        async with asyncio.timeout(10):
            while self.spool:
                await asyncio.sleep(0)

    async def end(self) -> int:
        """Stop it; how many are left."""
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        return self.reports.drain()


@contextlib.asynccontextmanager
async def worker(ledger: Flaky, folder: Path, now_ms: Callable[[], int] = lambda: NOW_MS) -> AsyncIterator[Worker]:
    """A worker for as long as the block lasts."""
    running = Worker(ledger, folder, now_ms)
    try:
        yield running
    finally:
        await running.end()


def release(hold_id: str) -> End:
    """A release."""
    return End(hold_id, "alice", (), State.RELEASED, 0, NOW_MS, DEADLINE_MS, "test")


async def turns(count: int = 20) -> None:
    """Let the other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a pause: these tests are about order, not time."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where spools are."""
    return tmp_path / "spool"


def waiting_ids(folder: Path) -> list[str]:
    """What waits on disk."""
    lines = [line for path in sorted(folder.glob("*/*.jsonl")) for line in path.read_bytes().splitlines()]
    return [json.loads(line[9:])["hold_id"] for line in lines]


# --- An outage --------------------------------------------------------------------------------------------------------


async def test_what_comes_during_an_outage_is_told_afterwards_in_order(folder: Path) -> None:
    """Nothing is lost or reordered; meanwhile it is on disk, afterwards the disk is empty."""
    ledger = Flaky(Link.DOWN)
    names = [f"h{number}" for number in range(250)]
    async with worker(ledger, folder) as running:
        for name in names:
            await running.reports.send(release(name))
            await asyncio.sleep(0)
        assert ledger.told == []
        assert waiting_ids(folder) == names
        ledger.link = Link.UP
        await running.idle()
        assert [end.hold_id for end in ledger.told] == names
        assert list(folder.iterdir()) == []


async def test_a_ledger_that_answers_leaves_no_trace(folder: Path) -> None:
    """Without an outage nothing is written."""
    async with worker(Flaky(), folder) as running:
        await running.reports.send(release("h0"))
        await turns()
    assert not folder.exists()


async def test_during_an_outage_no_request_waits_for_the_ledger(folder: Path) -> None:
    """Only the first report finds out that the ledger is away; those behind it are not told before it is back."""
    ledger = Flaky(Link.DOWN)
    reports = Reports(ledger, Learned(), Spool(folder, 0), lambda: NOW_MS)
    for number in range(20):
        await reports.send(release(f"h{number}"))
    assert ledger.calls == 1


async def test_a_second_outage_is_waited_out_too(folder: Path) -> None:
    """The replaying starts anew for each outage, and between them reports are told at once."""
    ledger = Flaky()
    async with worker(ledger, folder) as running:
        for name in ("h1", "h2"):
            ledger.link = Link.DOWN
            await running.reports.send(release(name))
            ledger.link = Link.UP
            await running.idle()
            await running.reports.send(release(name + "+"))
            assert not running.spool
    assert ledger.told_ids == ["h1", "h1+", "h2", "h2+"]


async def test_a_report_whose_handler_is_cancelled_waits(folder: Path) -> None:
    """Envoy may hang up while the ledger is asked: the report is kept all the same."""
    ledger = Flaky(Link.SILENT)
    async with worker(ledger, folder) as running:
        handler = asyncio.create_task(running.reports.send(release("h0")))
        await turns(2)
        assert ledger.calls == 1
        ledger.link = Link.UP
        handler.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handler
        await running.idle()
    assert ledger.told_ids == ["h0"]


async def test_what_waits_is_brought_to_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """During an outage the files are synced, off the event loop."""
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), threading.current_thread() is loops))

    loops = threading.current_thread()
    monkeypatch.setattr(module, "SYNC_SECONDS", 0)
    monkeypatch.setattr(os, "fsync", fsync)
    async with worker(Flaky(Link.DOWN), folder) as running:
        await running.reports.send(release("a"))
        (path,) = folder.glob("*/*.jsonl")
        async with asyncio.timeout(10):
            while (str(path), False) not in synced:
                await asyncio.sleep(0)
    assert {on_loop for _, on_loop in synced} == {False}


async def test_a_mistake_does_not_end_the_replaying(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised while reports are replayed is logged, and they are replayed all the same."""
    ledger = Flaky(Link.DOWN)
    async with worker(ledger, folder) as running:
        await running.reports.send(release("a"))
        with structlog.testing.capture_logs() as logs, monkeypatch.context() as patch:
            patch.setattr(running.spool, "read", lambda _limit: 1 // 0)
            await turns()
        ledger.link = Link.UP
        await running.idle()
    assert ledger.told_ids == ["a"]
    assert {entry["event"] for entry in logs} == {"replay_failed"}


# --- Stopping and starting --------------------------------------------------------------------------------------------


async def test_draining_leaves_the_rest_to_the_next_start(folder: Path) -> None:
    """A worker that must stop does not wait for the ledger: it says how many are left, and its successor tells them."""
    ledger = Flaky(Link.DOWN)
    first = Worker(ledger, folder)
    for name in "abc":
        await first.reports.send(release(name))
    assert await first.end() == 3
    ledger.link = Link.UP
    async with worker(ledger, folder) as second:
        await turns()
        await second.idle()
    assert ledger.told_ids == ["a", "b", "c"]


async def test_what_a_worker_leaves_is_told_by_one_that_runs_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer workers from now on: those that stay look for what the others left."""
    monkeypatch.setattr(module, "ADOPT_SECONDS", 0)
    ledger = Flaky(Link.DOWN)
    leaving = Worker(ledger, folder)
    await leaving.reports.send(release("a"))
    async with worker(ledger, folder):
        await turns()
        ledger.link = Link.UP
        await leaving.end()
        async with asyncio.timeout(10):
            while not ledger.told:
                await asyncio.sleep(0)
    assert ledger.told_ids == ["a"]


async def test_without_a_disk_what_is_lost_at_the_end_is_logged(tmp_path: Path) -> None:
    """Reports that only memory had are named, one by one, when the worker stops; nothing is raised."""
    (tmp_path / "file").touch()
    reports = Reports(Flaky(Link.DOWN), Learned(), Spool(tmp_path / "file" / "spool", 0), lambda: NOW_MS)
    with structlog.testing.capture_logs() as logs:
        for name in "ab":
            await reports.send(release(name))
        assert reports.drain() == 0
    assert [entry["request_id"] for entry in logs if entry["event"] == "report_dropped"] == ["a", "b"]
    assert [entry["request_id"] for entry in logs if entry["event"] == "ledger_away"] == ["a"]
    assert [entry["event"] for entry in logs].count("spool_unwritable") == 1


# --- Reports that are not taken ---------------------------------------------------------------------------------------


async def test_past_the_bound_reports_are_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is logged as an error with its request and cost, and those that wait are still told."""
    monkeypatch.setattr("extproc.wire.spool.MAX_BYTES", 250)
    ledger = Flaky(Link.DOWN)
    with structlog.testing.capture_logs() as logs:
        async with worker(ledger, folder) as running:
            for name in "abcde":
                await running.reports.send(release(name))
            kept = waiting_ids(folder)
            ledger.link = Link.UP
            await running.idle()
    dropped = [entry["request_id"] for entry in logs if entry["event"] == "report_dropped"]
    assert kept + dropped == ["a", "b", "c", "d", "e"]
    assert len(kept) == 2
    assert ledger.told_ids == kept


async def test_one_that_fails_alone_holds_up_nobody(folder: Path) -> None:
    """The others are told; it is tried again behind them, and told when it can be."""
    ledger = Flaky(Link.DOWN)
    ledger.fails["b"] = LedgerUnavailable("its node is away")
    async with worker(ledger, folder) as running:
        for name in "abc":
            await running.reports.send(release(name))
        ledger.link = Link.UP
        await turns(50)
        await running.reports.send(release("d"))
        await turns(50)
        assert ledger.told_ids == ["a", "c", "d"]
        ledger.fails.clear()
        await running.idle()
    assert ledger.told_ids == ["a", "c", "d", "b"]


async def test_one_that_fails_by_mistake_is_logged_once(folder: Path) -> None:
    """An error that is not the ledger's absence would come again each time, so it is logged and let go."""
    ledger = Flaky(Link.DOWN)
    ledger.fails["b"] = TypeError("a mistake")
    with structlog.testing.capture_logs() as logs:
        async with worker(ledger, folder) as running:
            for name in "abc":
                await running.reports.send(release(name))
            ledger.link = Link.UP
            await running.idle()
    assert ledger.told_ids == ["a", "c"]
    assert [entry["request_id"] for entry in logs if entry["event"] == "replay_failed"] == ["b"]


async def test_one_that_keeps_failing_alone_is_dropped_when_it_would_be_refused(folder: Path) -> None:
    """A day past its deadline the ledger would refuse it: it is given up, and said so."""
    now_ms = NOW_MS
    ledger = Flaky(Link.DOWN)
    ledger.fails["b"] = LedgerUnavailable("always")
    with structlog.testing.capture_logs() as logs:
        async with worker(ledger, folder, lambda: now_ms) as running:
            for name in "ab":
                await running.reports.send(release(name))
            now_ms = DEADLINE_MS + KEEP_MS + 1
            await turns()
            assert running.spool  # as long as all fail the ledger is away, and nothing is given up
            ledger.link = Link.UP
            await running.idle()
    assert [entry["request_id"] for entry in logs if entry["event"] == "report_dropped"] == ["b"]


@pytest.mark.parametrize(("overdue_ms", "charged_nano"), [(0, 7), (1, 0)])
async def test_a_replay_is_not_charged_once_the_ledger_may_have_forgotten(
    folder: Path, overdue_ms: int, charged_nano: int
) -> None:
    """Up to `KEEP_MS` past its deadline a report counts with its own time; after that it might be a repetition."""
    now_ms = NOW_MS
    ledger = Flaky(Link.DOWN)
    wallet = Account(AccountKind.WALLET, "alice")
    late = End("h0", "alice", (wallet,), State.REPORTED, 7, NOW_MS, DEADLINE_MS, "test")
    async with worker(ledger, folder, lambda: now_ms) as running:
        await running.reports.send(late)
        now_ms = DEADLINE_MS + KEEP_MS + overdue_ms
        ledger.link = Link.UP
        await running.idle()
    assert (await ledger.balance("alice", wallet)).used_nano == charged_nano
    assert [entry.at_ms for entry in ledger.usage_log] == [NOW_MS] * bool(charged_nano)


# --- What a report is -------------------------------------------------------------------------------------------------


async def test_what_waits_is_metadata_only(folder: Path) -> None:
    """A line has the fields of End, its record those of UsageRecord: counts, times and names, no text of a request."""
    ledger = Flaky(Link.DOWN)
    quote = samples.quote(CHAT, stream=True)
    report = Report("h0", 200, True, "a", Usage.of(10, 0, 0, 5, 0), True, 100)
    await Reports(ledger, Learned(), Spool(folder, 0), lambda: NOW_MS).conclude(quote, report, "trailers", NOW_MS)
    (path,) = folder.glob("*/*.jsonl")
    line = json.loads(path.read_bytes()[9:])
    assert set(line) == {field.name for field in fields(End)}
    assert set(json.loads(line["record"])) == {field.name for field in fields(UsageRecord)}
    assert not {"key", "prompt", "messages", "body", "content", "text"} & {*line, *json.loads(line["record"])}


async def test_what_was_answered_is_not_said_again(folder: Path) -> None:
    """The second reporter of the same verdict is not passed on, nor is it after a replay."""
    ledger = Flaky(Link.DOWN)
    quote = samples.quote(CHAT, stream=True)
    report = Report("h0", 200, True, "a", Usage.of(10, 0, 0, 5, 0), True, 100)
    async with worker(ledger, folder) as running:
        await running.reports.conclude(quote, report, "trailers", NOW_MS)
        ledger.link = Link.UP
        await running.idle()
        await running.reports.conclude(quote, report, "access_log", NOW_MS)
        await running.reports.conclude(quote, replace(report, status=500), "access_log", NOW_MS)
    assert [(end.reporter, end.state.name) for end in ledger.told] == [
        ("trailers", "REPORTED"),
        ("access_log", "RELEASED"),
    ]


@pytest.mark.parametrize(
    ("status", "usage", "lessons"),
    [(200, Usage.of(10, output_tokens=5), 2), (200, None, 0), (500, Usage.of(10, output_tokens=5), 0)],
)
async def test_a_request_teaches_once(folder: Path, status: int, usage: Usage | None, lessons: int) -> None:
    """Prompt and answer of a settled request are learned from, however many reporters tell of it."""
    ledger, learned = Flaky(), Learned()
    first, second = (Reports(ledger, learned, Spool(folder, index), lambda: NOW_MS) for index in range(2))
    report = Report("h0", status, True, "a", usage, usage is not None, 1_500)
    for reports, reporter in ((first, "trailers"), (first, "access_log"), (second, "access_log")):
        await reports.conclude(samples.quote(CHAT, stream=True), report, reporter, NOW_MS)
    assert [sums.count for sums in learned.take().values()] == [1] * lessons


async def test_a_partial_report_teaches_nothing_and_a_whole_one_after_it_does(folder: Path) -> None:
    """What was estimated must not be learned from."""
    learned = Learned()
    reports = Reports(Flaky(), learned, Spool(folder, 0), lambda: NOW_MS)
    whole = Report("h0", 200, True, "a", Usage.of(10, output_tokens=5), True, 1_500)
    await reports.conclude(samples.quote(CHAT, stream=True), replace(whole, usage_whole=False), "access_log", NOW_MS)
    assert learned.take() == {}
    await reports.conclude(samples.quote(CHAT, stream=True), whole, "trailers", NOW_MS)
    assert len(learned.take()) == 2


# --- Anything ---------------------------------------------------------------------------------------------------------

HOLDS = 4
WALLET = Account(AccountKind.WALLET, "alice")
sent = st.builds(
    lambda number, state, cost_nano: (number, state, cost_nano if state.settled else 0),
    st.integers(0, HOLDS - 1),
    st.sampled_from([State.RELEASED, State.ESTIMATED, State.PARTIAL, State.REPORTED]),
    st.integers(0, 9),
)
events = st.lists(
    st.one_of(
        sent, st.sampled_from([Link.UP, Link.DOWN, Link.DEAF]), st.sampled_from(["time passes", "killed", "torn"])
    ),
    max_size=40,
)


async def opened() -> Flaky:
    """A ledger with a wallet of 100 and some holds of 10."""
    ledger = Flaky()
    ledger.put_key(samples.KEY)
    await ledger.top_up("alice", 100, "first", NOW_MS)
    for number in range(HOLDS):
        hold = Hold(f"h{number}", "alice", "key_1", samples.KEY.revision, (WALLET,), 10, NOW_MS, DEADLINE_MS)
        assert (await ledger.hold(hold)).outcome is Outcome.HELD
    return ledger


def tear(folder: Path) -> None:
    """The first bytes of a line that was never finished, at the end of each spool."""
    for path in folder.glob("*"):
        with max(path.glob("*.jsonl")).open("ab") as file:
            file.write(b'1234abcd {"hold_id":"h0","ow')


async def lived(ledger: Flaky, folder: Path, life: Sequence[object]) -> list[End]:
    """Send reports through outages and kills to this ledger, and let all arrive in the end; what was sent."""
    running, ends = Worker(ledger, folder), list[End]()
    for event in life:
        match event:
            case (int(number), State() as state, int(cost_nano)):
                end = End(f"h{number}", "alice", (WALLET,), state, cost_nano, NOW_MS + len(ends), DEADLINE_MS, "test")
                ends.append(end)
                await running.reports.send(end)
            case Link() as link:
                ledger.link = link
            case "time passes":
                await turns()
            case _:
                await running.end()
                if event == "torn":
                    tear(folder)
                running = Worker(ledger, folder)
                await turns(2)
    ledger.link = Link.UP
    await turns(2)
    await running.idle()
    assert await running.end() == 0
    return ends


@settings(samples.steady, max_examples=150, suppress_health_check=[*HealthCheck])
@given(life=events)
def test_whatever_happens_all_is_told_in_order_and_charged_once(
    tmp_path_factory: pytest.TempPathFactory, life: list[object]
) -> None:
    """Outages, lost answers, kills and torn lines, in any order: the ledger ends as if there had been none of them.

    Each report arrives at least once, in the order of their sending; entries and balances are those of a ledger that
    was told each once, even where the reports of a hold disagree, so that order decides.
    """

    async def run() -> None:
        folder = tmp_path_factory.mktemp("life") / "spool"
        ledger, plain = await opened(), await opened()
        ends = await lived(ledger, folder, life)
        for end in ends:
            await plain.end(end)
        assert list(dict.fromkeys(ledger.told)) == ends
        assert await ledger.balance("alice", WALLET) == await plain.balance("alice", WALLET)
        assert ledger.usage_log == plain.usage_log
        assert list(folder.glob("*")) == []

    asyncio.run(run())
