"""Reports of ends on their way to the ledger. While it is away they wait in the spool, in order; none is lost.

    nothing waits     a report is told to the ledger at once; if that fails, it waits
    something waits   a report waits behind it, and no request has to find out anew that the ledger is away

What waits is told again and again, a batch at a time, until the ledger takes it. A report that fails while others of
its batch are taken goes to the end of the line, so that it holds up nobody. A report may thus be told twice, which
changes nothing, and is charged once.

A report for which there is no room is logged and dropped: its hold then expires, at no cost to the caller.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import structlog

from extproc import metrics
from extproc.core.ending import Report, Verdict, conclude, lessons
from extproc.core.learned import Learned
from extproc.core.ledger import KEEP_MS, End, EndResult, Ledger, Outcome, State
from extproc.core.quote import Quote
from extproc.core.record import make_record
from extproc.errors import LedgerUnavailable
from extproc.wire import codec
from extproc.wire.counts import count_end
from extproc.wire.spool import Spool, sync_files

log = structlog.get_logger()

T = TypeVar("T")

RETRY_SECONDS = 0.25
BATCH = 100
"""Reports that are told at once: one round trip, unless they belong to many nodes."""

SYNC_SECONDS = 1.0
"""What a power cut may cost of the spool; the embedded Redis promises the same."""

ADOPT_SECONDS = 30.0
"""How long reports wait when their worker has ended for good, and no other has started since."""

REMEMBERED = 10_000
"""Ends that a worker does not report twice: a minute of them at 150 a second."""


class Reports:
    """Hands ends to the ledger, again and again until it takes them.

    Almost every request is reported twice, by its trailers and by the access log, with the same verdict. What this
    worker was answered lately it does not say again; the ledger would change nothing.
    """

    def __init__(self, ledger: Ledger, learned: Learned, spool: Spool, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._learned = learned
        self._spool = spool
        self._now_ms = now_ms
        self._told: OrderedDict[str, tuple[State, int]] = OrderedDict()
        self._settled_by: OrderedDict[str, int] = OrderedDict()
        self._wake = asyncio.Event()

    async def conclude(self, quote: Quote, report: Report, reporter: str, now_ms: int) -> None:
        """End a held request as this report says, if it is an end, and learn from it once."""
        verdict = conclude(quote, report)
        if verdict.state is State.HELD:
            return
        if self._is_told(report.request_id, verdict):
            return
        if report.doubts:
            log.warning("usage_in_doubt", request_id=report.request_id, channel=report.channel, doubts=report.doubts)
        record = make_record(quote, report, verdict, reporter)
        result = await self.send(
            End(
                hold_id=report.request_id,
                owner=quote.owner,
                accounts=quote.accounts,
                state=verdict.state,
                cost_nano=verdict.cost_nano,
                now_ms=now_ms,
                deadline_ms=quote.deadline_ms,
                reporter=reporter,
                record=codec.encode_record(record),
                tokens_back_us=quote.tokens.back_us(verdict.usage.total_tokens if verdict.state.settled else 0),
            )
        )
        if result is None or verdict.state is not State.REPORTED:
            return
        if report.evidence and self._is_told(report.request_id, verdict):
            _remember(self._settled_by, report.request_id, report.evidence)
        if result.outcome is Outcome.ENDED:
            for lesson in lessons(quote, report):
                self._learned.add(*lesson)

    def has_settled(self, request_id: str, evidence: int) -> bool:
        """Whether a report by the same evidence is what the request was charged by, in full.

        No report has more to say, and this one has nothing else: it need not even be read.
        """
        return self._settled_by.get(request_id) == evidence

    async def release_lost(self, ended: codec.Ended, owner: str, reporter: str, now_ms: int) -> None:
        """Release a hold that may have been taken by an admit whose answer never reached Envoy."""
        await self.send(
            End(
                hold_id=ended.report.request_id,
                owner=owner,
                accounts=(),
                state=State.RELEASED,
                cost_nano=0,
                now_ms=now_ms,
                deadline_ms=ended.deadline_ms,
                reporter=reporter,
            )
        )

    async def send(self, end: End) -> EndResult | None:
        """Tell the ledger now, and return what it answered, or as soon as it is back."""
        if self._spool:
            self._wait(end, "others wait")
            return None
        try:
            return await self._tell(end)
        except LedgerUnavailable as error:
            log.warning("ledger_away", request_id=end.hold_id, error=str(error))
            self._wait(end, str(error))
            return None
        except asyncio.CancelledError:
            self._wait(end, "cancelled")
            raise

    async def run(self) -> None:
        """Replay what waits here, and what workers that are gone left behind, until cancelled."""
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._replay_all())
                    group.create_task(self._sync())
            except* Exception:
                log.exception("replay_failed")
                await asyncio.sleep(RETRY_SECONDS)

    def drain(self) -> int:
        """Leave what waits to the next start; how many reports. The last thing to be called, after `run` has ended."""
        for end in self._spool.close():
            self._drop(end, "no file could be written")
        return self._spool.count()

    def _is_told(self, request_id: str, verdict: Verdict) -> bool:
        return self._told.get(request_id) == (verdict.state, verdict.cost_nano)

    async def _tell(self, end: End) -> EndResult:
        try:
            result = await self._ledger.end(end)
        except LedgerUnavailable:
            self._told.clear()  # a Redis that was away may have lost what it last answered
            self._settled_by.clear()
            raise
        count_end(end, result)
        _remember(self._told, end.hold_id, (result.state, result.charged_nano))
        if result.outcome in (Outcome.DISAGREES, Outcome.TOO_LATE, Outcome.OVER_MAXIMUM):
            log.warning(
                "report_refused",
                outcome=result.outcome,
                request_id=end.hold_id,
                reporter=end.reporter,
                reported_nano=end.cost_nano,
                charged_nano=result.charged_nano,
            )
        return result

    def _wait(self, end: End, error: str) -> None:
        if self._spool.full or not self._spool.append(end):
            self._drop(end, error)
        else:
            metrics.SPOOLED.inc()
        self._wake.set()

    def _drop(self, end: End, error: str) -> None:
        metrics.DROPPED.inc()
        log.error("report_dropped", request_id=end.hold_id, cost_nano=end.cost_nano, error=error)

    async def _replay_all(self) -> None:
        while True:
            self._wake.clear()
            self._spool.adopt()
            await self._replay()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ADOPT_SECONDS):
                    await self._wake.wait()

    async def _replay(self) -> None:
        told = 0
        while batch := self._spool.read(BATCH):
            away = await self._tell_batch(batch)
            if len(away) < len(batch):
                told += len(batch) - len(away)
                self._put_back(away)
                self._spool.done()
            if away:
                await asyncio.sleep(RETRY_SECONDS)
        if told:
            log.info("ledger_back", reports_replayed=told)

    async def _tell_batch(self, batch: list[End]) -> list[End]:
        """Those for which the ledger was away. Any other error would only come again: it is logged, and that is all."""
        answers = await asyncio.gather(*(self._tell(self._aged(end)) for end in batch), return_exceptions=True)
        for end, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception) and not isinstance(answer, LedgerUnavailable):
                log.error("replay_failed", request_id=end.hold_id, exc_info=answer)
        return [end for end, answer in zip(batch, answers, strict=True) if isinstance(answer, LedgerUnavailable)]

    def _put_back(self, ends: list[End]) -> None:
        for end in ends:
            if self._overdue(end) or not self._spool.append(end):
                self._drop(end, "the ledger takes others, but not this one")

    def _aged(self, end: End) -> End:
        """With its own time, as long as the ledger can tell a repetition; then with the real one, to be refused."""
        return replace(end, now_ms=self._now_ms()) if self._overdue(end) else end

    def _overdue(self, end: End) -> bool:
        return self._now_ms() > end.deadline_ms + KEEP_MS

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            if descriptors := self._spool.unsynced():
                await asyncio.to_thread(sync_files, descriptors)


def _remember(known: OrderedDict[str, T], request_id: str, value: T) -> None:
    known[request_id] = value
    if len(known) > REMEMBERED:
        known.popitem(last=False)
