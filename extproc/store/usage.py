"""Reading what the scripts wrote down: the usage log of a bucket, the entries of a wallet. Both oldest first."""

from collections.abc import AsyncIterator, Mapping, Sequence

from extproc.core.ledger import EntryKind, State, UsageEntry, WalletEntry, bucket_of
from extproc.store import keys
from extproc.store.connection import Connection

PAGE = 500
FIRST, LAST = "0-0", "+"
"""Positions in a log: before its first entry, and its end."""


async def usage_of_bucket(redis: Connection, bucket: int) -> AsyncIterator[UsageEntry]:
    """The usage of every owner in one bucket. Raises `LedgerUnavailable`."""
    async for _, entry in usage_between(redis, bucket):
        yield entry


async def usage_between(
    redis: Connection, bucket: int, after: str = FIRST, last: str = LAST
) -> AsyncIterator[tuple[str, UsageEntry]]:
    """The same behind one position and up to another, each entry with its own. Raises `LedgerUnavailable`."""
    async for position, fields in log_entries(redis, keys.usage(bucket), after, last):
        yield position, usage_entry(fields)


def usage_entry(fields: Mapping[str, str]) -> UsageEntry:
    """An entry of the usage log by its fields. Raises `KeyError` and `ValueError` for what is none."""
    return UsageEntry(
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


async def wallet_entries(redis: Connection, owner: str, last: str = LAST) -> AsyncIterator[WalletEntry]:
    """What was put into an owner's wallet and taken out by hand. Raises `LedgerUnavailable`."""
    async for _, fields in log_entries(redis, keys.entries(bucket_of(owner), owner), FIRST, last):
        yield _wallet_entry(fields)


async def wallet_page(
    redis: Connection, owner: str, count: int, before: str = LAST
) -> Sequence[tuple[str, WalletEntry]]:
    """The last `count` of these before a position, the newest first, each with its own. Raises `LedgerUnavailable`."""
    last = before if before == LAST else f"({before}"
    name = keys.entries(bucket_of(owner), owner)
    page = await redis.execute("XREVRANGE", name, last, "-", "COUNT", count)
    return [(position, _wallet_entry(fields)) for position, fields in page]


async def wallet_entry(redis: Connection, owner: str, reference: str) -> WalletEntry | None:
    """The entry of an owner's wallet with this reference. Raises `LedgerUnavailable`."""
    async for entry in wallet_entries(redis, owner):
        if entry.reference == reference:
            return entry
    return None


async def log_entries(
    redis: Connection, stream: str, after: str = FIRST, last: str = LAST
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The fields of what is in a log behind one position and up to another. Raises `LedgerUnavailable`."""
    while page := await redis.execute("XRANGE", stream, f"({after}", last, "COUNT", PAGE):
        for position, fields in page:
            yield position, fields
            after = position


def _wallet_entry(fields: dict[str, str]) -> WalletEntry:
    return WalletEntry(
        reference=fields["reference"],
        amount_nano=int(fields["amount"]),
        limit_nano=int(fields["limit"]),
        at_ms=int(fields["at"]),
        kind=EntryKind(fields["kind"]),
        reason=fields["reason"],
        request_id=fields["request"],
    )
