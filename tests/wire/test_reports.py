"""Reports wait while the ledger is away, in order, and each reaches it in the end."""

import asyncio

import pytest

from extproc.core.ledger import End, EndResult, Outcome, State
from extproc.core.memory_ledger import MemoryLedger
from extproc.errors import LedgerUnavailable
from extproc.wire import reports as module
from extproc.wire.reports import Reports


class Flaky(MemoryLedger):
    """A ledger that is away until `back` is set; it remembers what it was told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.back = asyncio.Event()
        self.told: list[str] = []

    async def end(self, end: End) -> EndResult:
        if not self.back.is_set():
            raise LedgerUnavailable("gone")
        self.told.append(end.hold_id)
        return EndResult(Outcome.ENDED, State.RELEASED, 0)


def end(hold_id: str) -> End:
    """A release."""
    return End(hold_id, "alice", (), State.RELEASED, 0, 1_000, 2_000, "test")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a pause: these tests are about order, not time."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)


async def test_what_comes_during_an_outage_is_told_afterwards_in_order() -> None:
    """Nothing is lost or reordered, and draining waits for all of it."""
    ledger = Flaky()
    reports = Reports(ledger)
    for number in range(20):
        await reports.send(end(f"h{number}"))
    assert ledger.told == []
    ledger.back.set()
    assert await reports.drain(5) == 0
    assert ledger.told == [f"h{number}" for number in range(20)]


async def test_draining_gives_up_in_time_and_says_how_many_are_left() -> None:
    """A worker that must stop does not wait for ever."""
    reports = Reports(Flaky())
    await reports.send(end("h1"))
    assert await reports.drain(0.01) == 1


async def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a report is dropped, and those that wait are still told."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    ledger = Flaky()
    reports = Reports(ledger)
    for number in range(5):
        await reports.send(end(f"h{number}"))
    ledger.back.set()
    await reports.drain(5)
    assert ledger.told == ["h0", "h1"]


async def test_a_second_outage_is_waited_out_too() -> None:
    """The retrying starts anew for each outage."""
    ledger = Flaky()
    reports = Reports(ledger)
    for name in ("h1", "h2"):
        ledger.back.clear()
        await reports.send(end(name))
        ledger.back.set()
        await reports.drain(5)
    assert ledger.told == ["h1", "h2"]
