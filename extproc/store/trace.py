"""Finding one request by its id: its hold, or what is remembered of it, and what the logs say of it."""

import asyncio
import contextlib
import json
from dataclasses import dataclass

import msgspec

from extproc.core.ledger import BUCKETS, Account, State, UsageEntry, WalletEntry, bucket_of
from extproc.core.quote import Quote
from extproc.core.record import UsageRecord
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.usage import usage_of_bucket, wallet_entries


@dataclass(frozen=True, slots=True)
class Trace:
    """The life of one request.

    `quote`, `accounts` and `held_nano` are of a live hold, `deadline_ms` also of one that ended in the last day.
    """

    request_id: str
    owner: str
    state: State
    quote: Quote | None
    accounts: tuple[Account, ...]
    held_nano: int
    deadline_ms: int | None
    entries: list[UsageEntry]
    refunds: list[WalletEntry]

    @property
    def record(self) -> UsageRecord | None:
        """What is known of how it ended: the last record that says so."""
        return next(filter(None, map(usage_record, reversed(self.entries))), None)


async def find(redis: Connection, request_id: str, owner: str | None = None) -> Trace | None:
    """The request with this id, None when nobody knows it. Raises `LedgerUnavailable`.

    The id alone does not tell the bucket: all are asked for its hold, which is remembered for a day after its end. One
    that is older is found by its `owner`.
    """
    bucket = await _bucket(redis, request_id) if owner is None else bucket_of(owner)
    if bucket is None:
        return None
    hold = await _hold(redis, keys.hold(bucket, request_id))
    entries = [entry async for entry in usage_of_bucket(redis, bucket) if entry.hold_id == request_id]
    if not hold and not entries:
        return None
    whose = hold.get("owner") or entries[0].owner
    live = bool(hold) and int(hold["state"]) == State.HELD
    quote = read_record(hold.get("record", ""))
    return Trace(
        request_id=request_id,
        owner=whose,
        state=State.HELD if live else entries[-1].state,
        quote=quote if isinstance(quote, Quote) else None,
        accounts=tuple(keys.account_of(name) for name in json.loads(hold.get("accounts", "[]"))),
        held_nano=int(hold["amount"]) if live else 0,
        deadline_ms=int(hold["deadline"]) if hold else None,
        entries=entries,
        refunds=[entry async for entry in wallet_entries(redis, whose) if entry.request_id == request_id],
    )


def read_record(text: str) -> UsageRecord | Quote | None:
    """What a hold or an entry keeps of its request; None for nothing, or nothing that can be read."""
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=UsageRecord)
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=Quote)
    return None


def usage_record(entry: UsageEntry) -> UsageRecord | None:
    """How the request of an entry ended; None where that is not known: an expired one has only its quote."""
    record = read_record(entry.record)
    return record if isinstance(record, UsageRecord) else None


async def _bucket(redis: Connection, request_id: str) -> int | None:
    names = [keys.hold(bucket, request_id) for bucket in range(BUCKETS)]
    there = await asyncio.gather(*(redis.execute("EXISTS", name) for name in names))
    return there.index(1) if 1 in there else None


async def _hold(redis: Connection, name: str) -> dict[str, str]:
    found: dict[str, str] | list[str] = await redis.execute("HGETALL", name)
    return found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
