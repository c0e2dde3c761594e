"""The live holds of the whole deployment, without reading one of them."""

import asyncio
from dataclasses import dataclass
from itertools import compress

from extproc.core.ledger import BUCKETS, HOLD_MS
from extproc.store import keys
from extproc.store.connection import Connection


@dataclass(frozen=True, slots=True)
class LiveHolds:
    """How many there are, and the earliest of their deadlines (Unix milliseconds)."""

    count: int = 0
    earliest_ms: int | None = None

    def overdue_ms(self, now_ms: int) -> int:
        """How long ago the first should have expired, 0 if none should have."""
        return 0 if self.earliest_ms is None else max(0, now_ms - self.earliest_ms)

    def oldest_ms(self, now_ms: int) -> int:
        """The age of the oldest hold, 0 for none. One that was given longer than `HOLD_MS` seems younger than it is."""
        return 0 if self.earliest_ms is None else max(0, now_ms - self.earliest_ms + HOLD_MS)


async def live_holds(redis: Connection) -> LiveHolds:
    """Two short commands for each bucket at most. Raises `LedgerUnavailable`."""
    names = [keys.due(bucket) for bucket in range(BUCKETS)]
    counts = await asyncio.gather(*(redis.execute("ZCARD", name) for name in names))
    firsts = await asyncio.gather(
        *(redis.execute("ZRANGE", name, 0, 0, "WITHSCORES") for name in compress(names, counts))
    )
    deadlines = [int(float(first[1])) for first in firsts if first]
    return LiveHolds(sum(counts), min(deadlines, default=None))
