"""Reading what the scripts wrote down: the usage log of a bucket, the entries of a wallet. Both oldest first."""

from collections.abc import AsyncIterator

from extproc.core.ledger import State, UsageEntry, WalletEntry, bucket_of
from extproc.store import keys
from extproc.store.connection import Connection

PAGE = 500


async def usage_of_bucket(redis: Connection, bucket: int) -> AsyncIterator[UsageEntry]:
    """The usage of every owner in one bucket. Raises `LedgerUnavailable`."""
    async for fields in _entries(redis, keys.usage(bucket)):
        yield UsageEntry(
            hold_id=fields["id"],
            owner=fields["owner"],
            state=State(int(fields["state"])),
            reporter=fields["reporter"],
            cost_nano=int(fields["cost"]),
            late=fields["late"] == "1",
            at_ms=int(fields["at"]),
            record=fields["record"],
        )


async def usage_of_owner(redis: Connection, owner: str) -> AsyncIterator[UsageEntry]:
    """The usage of one owner. Raises `LedgerUnavailable`."""
    async for entry in usage_of_bucket(redis, bucket_of(owner)):
        if entry.owner == owner:
            yield entry


async def wallet_entries(redis: Connection, owner: str) -> AsyncIterator[WalletEntry]:
    """What was put into an owner's wallet. Raises `LedgerUnavailable`."""
    async for fields in _entries(redis, keys.entries(bucket_of(owner), owner)):
        yield WalletEntry(
            reference=fields["reference"],
            amount_nano=int(fields["amount"]),
            limit_nano=int(fields["limit"]),
            at_ms=int(fields["at"]),
        )


async def _entries(redis: Connection, stream: str) -> AsyncIterator[dict[str, str]]:
    after = "-"
    while page := await redis.execute("XRANGE", stream, after, "+", "COUNT", PAGE):
        for position, fields in page:
            yield fields
            after = f"({position}"
