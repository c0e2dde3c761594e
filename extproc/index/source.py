"""Reading the logs in Redis for the index: usage and changes of every bucket that has an owner, from where it is."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from extproc.core.ledger import bucket_of
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.usage import FIRST


@dataclass(frozen=True, slots=True)
class Log:
    """One stream: the usage of a bucket, or else changes. That of tokens belongs to no bucket, which is -1."""

    stream: str
    bucket: int
    usage: bool


TOKENS: Final = Log(keys.CHANGES_OF_TOKENS, -1, usage=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was written to a log behind a position: each entry with its own.

    `lost` when what the index has read is not what was there: then the entries are from the log's very beginning.
    """

    log: Log
    after: str
    entries: list[tuple[str, dict[str, str]]]
    full: bool
    lost: bool = False


class Owners:
    """In which buckets there are owners. Owners only become more, so they are read again when their number changes."""

    def __init__(self) -> None:
        self._count = -1
        self._buckets: frozenset[int] = frozenset()

    async def buckets(self, redis: Connection) -> frozenset[int]:
        """Raises `LedgerUnavailable`."""
        count = await redis.execute("SCARD", keys.OWNERS)
        if count != self._count:
            self._buckets = frozenset(map(bucket_of, await redis.execute("SMEMBERS", keys.OWNERS)))
            self._count = count
        return self._buckets


def usage_logs(buckets: Iterable[int]) -> list[Log]:
    """The usage of each bucket."""
    return [Log(keys.usage(bucket), bucket, usage=True) for bucket in sorted(buckets)]


def change_logs(buckets: Iterable[int]) -> list[Log]:
    """The changes in each bucket."""
    return [Log(keys.changes(bucket), bucket, usage=False) for bucket in sorted(buckets)]


async def read(redis: Connection, log: Log, after: str, count: int) -> Batch:
    """The next so many entries. Raises `LedgerUnavailable`.

    The entry at the position is asked for too: it is there, unless it was trimmed or Redis has lost it. Of a trimmed
    one the log itself still knows that it was its last; if it was not, reading from the beginning does no harm.
    """
    if after == FIRST:
        entries = await redis.execute("XRANGE", log.stream, "-", "+", "COUNT", count)
        return Batch(log, after, entries, len(entries) == count)
    entries = await redis.execute("XRANGE", log.stream, after, "+", "COUNT", count + 1)
    if entries and entries[0][0] == after:
        return Batch(log, after, entries[1:], len(entries) > count)
    if not entries and await _last(redis, log) == after:
        return Batch(log, after, [], full=False)
    entries = await redis.execute("XRANGE", log.stream, "-", "+", "COUNT", count)
    return Batch(log, after, entries, len(entries) == count, lost=True)


async def read_all(redis: Connection, logs: Iterable[tuple[Log, str]], count: int) -> list[Batch]:
    """The next entries of each, behind its position."""
    return await asyncio.gather(*(read(redis, log, after, count) for log, after in logs))


async def _last(redis: Connection, log: Log) -> str:
    if not await redis.execute("EXISTS", log.stream):
        return FIRST
    return str((await redis.execute("XINFO STREAM", log.stream))["last-generated-id"])
