"""What is older than the operator keeps: removed from the logs in Redis, and from the index.

The books stay right: what removed entries have charged is carried (`extproc.store.trim`). Changes and the entries of
wallets are kept for good.
"""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta, tzinfo
from typing import Final

import structlog

from extproc.core.ledger import bucket_of
from extproc.errors import LedgerUnavailable
from extproc.index.days import begin_ms, day_of
from extproc.index.index import Index
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.sweeper import Lease
from extproc.store.trim import LEAST_MS, trim_bucket

log = structlog.get_logger()

HOUR_SECONDS: Final = 3600.0


async def run_retention(
    connection: Connection, index: Index, days: int, now_ms: Callable[[], int], seconds: float = HOUR_SECONDS
) -> None:
    """Once in so many seconds, until cancelled, forget requests of before so many whole days; of 0 days, none at all.

    Every process trims its own index, and one of all trims Redis. An outage of Redis is waited out.
    """
    lease = Lease(connection, keys.RETENTION_LEASE)
    while days:
        before_ms = kept_from_ms(now_ms(), days, index.zone)
        try:
            if await lease.take(seconds * 0.9):
                await trim(connection, before_ms)
            forgotten = await index.trim(before_ms)
            if forgotten:
                log.info("index_trimmed", requests=forgotten, before=day_of(before_ms, index.zone))
        except LedgerUnavailable as error:
            log.warning("retention_failed", error=str(error))
        except Exception:
            log.exception("retention_failed")
        await asyncio.sleep(seconds)


async def trim(connection: Connection, before_ms: int) -> int:
    """Remove the entries of requests that were admitted before this from every log; how many. `LedgerUnavailable`."""
    owners = await connection.execute("SMEMBERS", keys.OWNERS)
    removed = 0
    for bucket in sorted({bucket_of(owner) for owner in owners}):
        removed += await trim_bucket(connection, bucket, before_ms)
    if removed:
        log.info("usage_trimmed", entries=removed)
    return removed


def kept_from_ms(now_ms: int, days: int, zone: tzinfo) -> int:
    """When the first of so many days before today began there; never so late that an entry could still come."""
    first = date.fromisoformat(day_of(now_ms, zone)) - timedelta(days=days)
    return min(begin_ms(first.isoformat(), zone), now_ms - LEAST_MS)
