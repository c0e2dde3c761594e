"""Reading the log: complete, in order, and of one owner only."""

import asyncio
from itertools import count

import pytest

from extproc.core.ledger import Account, AccountKind, End, EntryKind, State, UsageEntry, WalletEntry, bucket_of
from extproc.store import usage
from extproc.store.connection import Connection
from extproc.store.redis_ledger import RedisLedger

NOW_MS = 4_000_000_000_000
NEIGHBOUR = next(name for name in map("neighbour{}".format, count()) if bucket_of(name) == bucket_of("ada"))


def report(owner: str, number: int) -> End:
    """The settlement of a hold that nobody took."""
    accounts = (Account(AccountKind.WALLET, owner),)
    record = f'{{"model": "größer {number}"}}'
    return End(f"{owner}-{number}", owner, accounts, State.REPORTED, number, NOW_MS, NOW_MS, "trailers", record)


async def test_an_owners_usage_is_read_whole_and_alone(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page, in order, without what a neighbour in the same bucket used."""
    monkeypatch.setattr(usage, "PAGE", 3)
    ledger = RedisLedger(connection)
    for number in range(10):
        await ledger.end(report("ada", number))
        await ledger.end(report(NEIGHBOUR, number))
    found = [entry async for entry in usage.usage_of_owner(connection, "ada")]
    ends = [report("ada", number) for number in range(10)]
    assert found == [
        UsageEntry(end.hold_id, "ada", State.REPORTED, "trailers", end.cost_nano, True, NOW_MS, end.record)
        for end in ends
    ]
    everyone = [entry.owner async for entry in usage.usage_of_bucket(connection, bucket_of("ada"))]
    assert everyone == ["ada", NEIGHBOUR] * 10


async def test_a_wallets_entries_add_up_to_its_limit(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each top-up is one entry, however often it was sent."""
    monkeypatch.setattr(usage, "PAGE", 2)
    ledger = RedisLedger(connection)
    sent = [ledger.top_up("ada", amount, f"r{amount}", NOW_MS) for amount in (1, 2, 3, 4, 5) for _ in range(3)]
    await asyncio.gather(*sent)
    found = [entry async for entry in usage.wallet_entries(connection, "ada")]
    limits = (1, 3, 6, 10, 15)
    assert found == [WalletEntry(f"r{n}", n, limit, NOW_MS) for n, limit in zip((1, 2, 3, 4, 5), limits, strict=True)]


async def test_a_correction_is_an_entry_that_says_why(connection: Connection) -> None:
    """Kind, reason and request are kept, and a repetition leaves no entry behind."""
    ledger = RedisLedger(connection)
    for _ in range(2):
        await ledger.refund("ada", 5, "größer als gedacht", "r", NOW_MS, request_id="id-1")
        await ledger.adjust("ada", -2, "wrong wallet", "s", NOW_MS)
    assert [entry async for entry in usage.wallet_entries(connection, "ada")] == [
        WalletEntry("r", 5, 5, NOW_MS, EntryKind.REFUND, "größer als gedacht", "id-1"),
        WalletEntry("s", -2, 3, NOW_MS, EntryKind.ADJUSTMENT, "wrong wallet"),
    ]


async def test_who_used_nothing_has_no_entries(connection: Connection) -> None:
    """A log that nobody began is empty."""
    assert [entry async for entry in usage.usage_of_owner(connection, "ada")] == []


async def test_a_statement_is_read_from_its_end(connection: Connection) -> None:
    """Page by page, the newest first, and none twice; an entry is found by its reference."""
    ledger = RedisLedger(connection)
    for number in range(1, 6):
        await ledger.bonus("ada", number, "why", f"r{number}", NOW_MS)
    entries = [entry async for entry in usage.wallet_entries(connection, "ada")]
    found, before = [], usage.LAST
    while page := await usage.wallet_page(connection, "ada", 2, before):
        found += [entry for _, entry in page]
        before = page[-1][0]
    assert found == entries[::-1]
    assert await usage.wallet_entry(connection, "ada", "r4") == entries[3]
    assert await usage.wallet_entry(connection, "ada", "r9") is None
