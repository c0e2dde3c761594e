"""Removing old entries from the usage logs, where an operator keeps usage for so many days only.

What the entries charged stays in the sums of the accounts, and the audit must go on finding it: the script that removes
them adds it to what is carried. Entries go by when their request was admitted, not by when they were written, the last
one of a log first: so what is left of a request is always what it once was, and adds up too.
"""

import msgspec

from extproc.core.audit import REMEMBERED_MS
from extproc.core.ledger import Account, AccountKind, UsageEntry
from extproc.core.quote import Quote
from extproc.store import keys, scripts
from extproc.store.connection import Connection
from extproc.store.trace import read_record, usage_record
from extproc.store.usage import usage_entry

ENTRIES_AT_ONCE = 200
"""What one script removes at most, so that no other waits long for it."""

LEAST_MS = REMEMBERED_MS + 86_400_000
"""How old a request must be before its entries may go: none can come after them, whatever the clocks say."""

ENTRIES, BEFORE = "entries", "before"
"""The fields of what is carried that are no account: how many entries were removed; before when, in milliseconds."""


async def trim_bucket(redis: Connection, bucket: int, before_ms: int) -> int:
    """Remove the entries of requests that were admitted before this; how many. Raises `LedgerUnavailable`.

    `before_ms` must be `LEAST_MS` ago or more. Where it was done up to there already, nothing is looked at.
    """
    if int(await redis.execute("HGET", keys.carried(bucket), BEFORE) or 0) >= before_ms:
        return 0
    removed, end = 0, str(before_ms + LEAST_MS)
    while page := await redis.execute("XREVRANGE", keys.usage(bucket), end, "-", "COUNT", ENTRIES_AT_ONCE):
        arguments = [word for position, fields in page for word in _removal(position, fields, before_ms)]
        if arguments:
            names = [keys.usage(bucket), keys.carried(bucket)]
            removed += await redis.script(scripts.TRIM, names, arguments)
        end = f"({page[-1][0]}"
    await redis.execute("HSET", keys.carried(bucket), BEFORE, before_ms)
    return removed


def carried_account(field: str) -> tuple[str, Account] | None:
    """The owner and the account that a field of what is carried is of."""
    if field in (ENTRIES, BEFORE):
        return None
    owner, kind, name = msgspec.json.decode(field, type=tuple[str, AccountKind, str])
    return owner, Account(kind, name)


def _removal(position: str, fields: dict[str, str], before_ms: int) -> list[str | int]:
    """What the script is told of an entry; nothing of one that stays, or that cannot be read."""
    try:
        entry = usage_entry(fields)
        if _admitted_ms(entry) >= before_ms:
            return []
        record = usage_record(entry)
    except (KeyError, ValueError):
        return []
    if entry.state.settled and record is None:
        return []
    accounts = dict.fromkeys(record.accounts) if record and entry.cost_nano else {}
    carried = [msgspec.json.encode((entry.owner, each.kind, each.name)).decode() for each in accounts]
    return [position, entry.cost_nano, len(carried), *carried]


def _admitted_ms(entry: UsageEntry) -> int:
    record = read_record(entry.record)
    if record is None:
        return entry.at_ms
    return record.held_ms if isinstance(record, Quote) else record.time_ms
