"""Reading the record of changes of a bucket, or of all tokens, oldest first: what put a record or made an entry."""

from collections.abc import AsyncIterator

from extproc.core.change import Change
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.usage import FIRST, LAST, log_entries


async def changes_between(
    redis: Connection, stream: str, after: str = FIRST, last: str = LAST
) -> AsyncIterator[tuple[str, Change]]:
    """What is in a log behind one position and up to another, each change with its own. Raises `LedgerUnavailable`.

    `stream` is `keys.changes(bucket)`, or `keys.CHANGES_OF_TOKENS`.
    """
    async for position, fields in log_entries(redis, stream, after, last):
        yield (
            position,
            Change(
                at_ms=int(fields["at"]),
                who=fields["who"],
                what=fields["what"],
                owner=fields["owner"],
                of=fields["of"],
                before=fields["before"],
                after=fields["after"],
            ),
        )


async def changes_of_bucket(redis: Connection, bucket: int) -> AsyncIterator[Change]:
    """Every change of the owners in one bucket. Raises `LedgerUnavailable`."""
    async for _, change in changes_between(redis, keys.changes(bucket)):
        yield change
