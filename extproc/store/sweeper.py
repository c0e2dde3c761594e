"""The sweeper, the safety net: a hold that nobody ended is expired at its deadline, at no cost to the caller."""

import asyncio
import time

import structlog

from extproc import metrics
from extproc.core.ledger import BUCKETS, Ledger
from extproc.errors import LedgerUnavailable
from extproc.store import keys
from extproc.store.connection import Connection

log = structlog.get_logger()

BUCKETS_AT_ONCE = 64
HOLDS_AT_ONCE = 100
"""What one script expires at most, so that no other waits long for it."""


class Lease:
    """The right to do something, such as to sweep, given to one process at a time, whatever their number."""

    def __init__(self, redis: Connection, name: str = keys.SWEEPER_LEASE) -> None:
        self._redis = redis
        self._name = name

    async def take(self, seconds: float) -> bool:
        """Whether it was free; it is taken for so long. Raises `LedgerUnavailable`."""
        milliseconds = max(1, int(seconds * 1000))
        return bool(await self._redis.execute("SET", self._name, "taken", "NX", "PX", milliseconds))


async def sweep(ledger: Ledger, now_ms: int) -> int:
    """Expire every hold whose deadline has passed; how many there were. Raises `LedgerUnavailable`."""
    expired = 0
    for first in range(0, BUCKETS, BUCKETS_AT_ONCE):
        buckets = range(first, min(first + BUCKETS_AT_ONCE, BUCKETS))
        expired += sum(await asyncio.gather(*(_sweep_bucket(ledger, bucket, now_ms) for bucket in buckets)))
    return expired


async def run_sweeper(ledger: Ledger, lease: Lease, interval_seconds: float) -> None:
    """Sweep once an interval, until cancelled, if no other worker did. An outage of Redis is waited out."""
    while True:
        try:
            if await lease.take(interval_seconds * 0.9):
                expired = await sweep(ledger, time.time_ns() // 1_000_000)
                if expired:
                    log.warning("holds_expired", count=expired)
        except LedgerUnavailable as error:
            log.warning("sweep_failed", error=str(error))
        await asyncio.sleep(interval_seconds)


async def _sweep_bucket(ledger: Ledger, bucket: int, now_ms: int) -> int:
    expired = 0
    while ids := await ledger.expire_due(bucket, now_ms, HOLDS_AT_ONCE):
        expired += len(ids)
        metrics.EXPIRED.inc(len(ids))
        if len(ids) < HOLDS_AT_ONCE:
            break
    return expired
