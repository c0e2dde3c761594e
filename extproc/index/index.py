"""What others ask the index, and how it comes to know.

    index = Index(settings.data / "index.sqlite", zone)
    await index.fill(connection)                  what is in Redis now; cheap where there is nothing new
    await index.page(Where(owner="ada"), 100)     what was filled
    index.close()

Whoever asks what has just been settled fills first, `fill_for(connection, where)`: it reads only the usage of the
owners that can match; `fill_changes` is for changes. Several processes may have one file open; each entry of a log is
counted once, whoever fills.

Questions run in threads, each on a connection of its own, and see one moment. Errors: `ValueError` for a bad cursor
and `TooMany` (a `ValueError`) for totals over too large a piece of a day, both meant for who asks;
`LedgerUnavailable` of `fill` when Redis does not answer; `sqlite3.Error` when the file cannot be written.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import tzinfo
from pathlib import Path
from typing import Final, TypeVar

from extproc.core.ledger import bucket_of
from extproc.index import changes, pages, totals, writing
from extproc.index.changes import Changes
from extproc.index.file import File
from extproc.index.pages import Mark, Page
from extproc.index.rows import Row
from extproc.index.source import TOKENS, Log, Owners, change_logs, read_all, usage_logs
from extproc.index.totals import Total
from extproc.index.where import By, Visible, Where
from extproc.store.connection import Connection
from extproc.store.usage import FIRST

T = TypeVar("T")

LOGS_AT_ONCE: Final = 256
ENTRIES_AT_ONCE: Final = 20_000
MOST_ENTRIES, LEAST_ENTRIES = 5_000, 50
"""Of one log in one page: few of many logs, many of one."""

EXPORTED_AT_ONCE: Final = 2_000
FOLLOWED_AT_ONCE: Final = 1_000


class _Turn:
    """Those who ask for the same while it is under way need only the next that begins, all of them together."""

    def __init__(self) -> None:
        self._alone = asyncio.Lock()
        self._asked = self._done = 0

    async def take(self, work: Callable[[], Awaitable[int]]) -> int:
        """Do it, unless that was done since this was asked for."""
        self._asked += 1
        mine = self._asked
        async with self._alone:
            if self._done >= mine:
                return 0
            asked = self._asked
            done = await work()
            self._done = asked
            return done


class Index:
    """The file at a path, with days in one time zone."""

    def __init__(self, path: Path, zone: tzinfo) -> None:
        self.path = path
        self.zone = zone
        self.unreadable = 0
        """How many entries were passed over, since this process began, as they could not be read."""
        self._file = File(path, str(zone))
        self._owners = Owners()
        self._usage, self._changes = _Turn(), _Turn()

    async def fill(self, connection: Connection, buckets: Iterable[int] | None = None) -> int:
        """Catch up with both logs of these buckets, or of all; how many entries were new. Raises `LedgerUnavailable`.

        All that was written before it was called is in the file when it returns.
        """
        if buckets is not None:
            wanted = list(buckets)
            return await self._fill(connection, [*usage_logs(wanted), *change_logs(wanted)])
        return await self._fill_usage(connection) + await self._fill_changes(connection)

    async def fill_for(self, connection: Connection, where: Where) -> int:
        """The same for the usage of those owners alone that can match."""
        if where.owners is None:
            return await self._fill_usage(connection)
        return await self._fill(connection, usage_logs({bucket_of(owner) for owner in where.owners}))

    async def fill_changes(self, connection: Connection, owner: str = "") -> int:
        """The same for the changes of one owner, or for all and those of tokens."""
        return await (
            self._fill(connection, change_logs([bucket_of(owner)])) if owner else self._fill_changes(connection)
        )

    async def page(self, where: Where, limit: int = 100, cursor: str = "") -> Page:
        """Requests that match, newest first; `cursor` is the `next_cursor` of the page before."""
        return await self._ask(lambda db: pages.page(db, where, limit, cursor))

    async def get(self, request_id: str, visible: tuple[Visible, ...] | None = None) -> Row | None:
        """One request by its id, if it is there and may be seen."""
        return await self._ask(lambda db: pages.get(db, request_id, Where(visible=visible)))

    async def export(self, where: Where) -> AsyncIterator[list[Row]]:
        """All requests that match, oldest first, some at a time."""
        cursor, more = "", True
        while more:
            found = await self._ask(
                lambda db, cursor=cursor: pages.page(db, where, EXPORTED_AT_ONCE, cursor, newest_first=False)
            )
            if found.rows:
                yield found.rows
            cursor, more = found.next_cursor, bool(found.next_cursor)

    async def last(self) -> Mark:
        """The mark of the request that was last heard of; `after` begins there."""
        return await self._ask(pages.last)

    async def after(self, mark: Mark, where: Where) -> tuple[list[Row], Mark]:
        """Requests that match and were first heard of after a mark, each once, and the mark to ask with next.

        When that mark is the same, there are no more. Where the file was made again meanwhile, it goes on from there.
        """
        return await self._ask(lambda db: pages.rows_after(db, where, mark, FOLLOWED_AT_ONCE))

    async def totals(self, where: Where, by: By) -> tuple[list[Total], Total]:
        """Sums of what matches, the dearest 1,000 first, days in their order; and the sum of all."""
        return await self._ask(lambda db: totals.totals(db, where, by, self.zone))

    async def changes(self, owner: str = "", of: str = "", limit: int = 100, cursor: str = "") -> Changes:
        """The record of changes, newest first, of one owner or of one id if they are given."""
        return await self._ask(lambda db: changes.changes(db, owner, of, limit, cursor))

    async def trim(self, before_ms: int) -> int:
        """Delete requests that were admitted before this; how many there were."""
        trimmed = 0
        while some := await self._write(lambda db: writing.trim(db, before_ms, self.zone)):
            trimmed += some
        return trimmed

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    async def _fill_usage(self, connection: Connection) -> int:
        async def read() -> int:
            return await self._fill(connection, usage_logs(await self._owners.buckets(connection)))

        return await self._usage.take(read)

    async def _fill_changes(self, connection: Connection) -> int:
        async def read() -> int:
            return await self._fill(connection, [*change_logs(await self._owners.buckets(connection)), TOKENS])

        return await self._changes.take(read)

    async def _fill(self, connection: Connection, logs: list[Log]) -> int:
        read = 0
        for first in range(0, len(logs), LOGS_AT_ONCE):
            left = logs[first : first + LOGS_AT_ONCE]
            while left:
                known = await self._ask(writing.positions)
                count = min(MOST_ENTRIES, max(LEAST_ENTRIES, ENTRIES_AT_ONCE // len(left)))
                batches = await read_all(connection, [(log, known.get(log.stream, FIRST)) for log in left], count)
                new = [batch for batch in batches if batch.entries or batch.lost]
                if new:
                    more, unreadable = await self._write(lambda db, new=new: writing.write(db, new, self.zone))
                    read, self.unreadable = read + more, self.unreadable + unreadable
                left = [batch.log for batch in new]
        return read

    async def _ask(self, question: Callable[..., T]) -> T:
        def asked() -> T:
            with self._file.reading() as db:
                return question(db)

        return await asyncio.to_thread(asked)

    async def _write(self, work: Callable[..., T]) -> T:
        def written() -> T:
            with self._file.writing() as db:
                return work(db)

        return await asyncio.to_thread(written)
