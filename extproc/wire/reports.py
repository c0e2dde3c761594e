"""Reports of ends on their way to the ledger. They wait, in order and bounded, while it is away; none is lost.

A report that cannot wait any more is logged and dropped: its hold then expires, at no cost to the caller.
"""

import asyncio
from collections import OrderedDict, deque

import structlog

from extproc.core.ending import Report, conclude
from extproc.core.ledger import End, Ledger, Outcome, State
from extproc.core.quote import Quote
from extproc.core.record import make_record
from extproc.errors import LedgerUnavailable
from extproc.wire import codec

log = structlog.get_logger()

MAX_WAITING = 100_000
RETRY_SECONDS = 0.25
REMEMBERED = 10_000
"""Ends that a worker does not report twice: a minute of them at 150 a second."""


class Reports:
    """Hands ends to the ledger, again and again until it takes them.

    Almost every request is reported twice, by its trailers and by the access log, with the same verdict. What this
    worker was answered lately it does not say again; the ledger would change nothing.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told: OrderedDict[str, tuple[State, int]] = OrderedDict()
        self._waiting: deque[End] = deque()
        self._retrying: asyncio.Task[None] | None = None

    async def conclude(self, quote: Quote, report: Report, reporter: str, now_ms: int) -> None:
        """End a held request as this report says."""
        verdict = conclude(quote, report)
        if self._told.get(report.request_id) == (verdict.state, verdict.cost_nano):
            return
        record = make_record(quote, report, verdict, reporter)
        await self.send(
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
            )
        )

    async def release_lost(self, ended: codec.Ended, owner: str, now_ms: int) -> None:
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
                reporter="access_log",
            )
        )

    async def send(self, end: End) -> None:
        """Tell the ledger now, or as soon as it is back. Never raises."""
        try:
            await self._tell(end)
        except LedgerUnavailable as error:
            self._wait(end, str(error))

    async def drain(self, timeout_seconds: float) -> int:
        """Wait for what waits, at most so long; how many are left."""
        if self._retrying:
            await asyncio.wait([self._retrying], timeout=timeout_seconds)
        return len(self._waiting)

    async def _tell(self, end: End) -> None:
        result = await self._ledger.end(end)
        self._told[end.hold_id] = (result.state, result.charged_nano)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        if result.outcome in (Outcome.DISAGREES, Outcome.TOO_LATE, Outcome.OVER_MAXIMUM):
            log.warning(
                "report_refused",
                outcome=result.outcome,
                request_id=end.hold_id,
                reporter=end.reporter,
                reported_nano=end.cost_nano,
                charged_nano=result.charged_nano,
            )

    def _wait(self, end: End, error: str) -> None:
        if len(self._waiting) >= MAX_WAITING:
            log.error("report_dropped", request_id=end.hold_id, cost_nano=end.cost_nano, error=error)
            return
        self._waiting.append(end)
        if self._retrying is None or self._retrying.done():
            log.warning("ledger_away", error=error)
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        while self._waiting:
            try:
                await self._tell(self._waiting[0])
                self._waiting.popleft()
            except LedgerUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
        log.info("ledger_back")
