"""Reading what the audit compares, on a live system, without stopping or slowing it.

A bucket is read at one moment by one script that writes nothing: every sum, every live hold, and how far the logs have
come. The logs are read up to there afterwards, page by page: what is in them never changes. Accounts that only the log
or a hold names are found on the way; then the bucket is read once more, and its log from where the reader was. What was
removed from the log is carried as sums, which are read together with the rest; when more is removed meanwhile, the
bucket is read anew.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from extproc.core.audit import Difference, LiveHold, Prices, Snapshot, Tally
from extproc.core.ledger import BUCKETS, Account, AccountKind, Balance, State, UsageEntry, bucket_of
from extproc.core.record import UsageRecord
from extproc.store import keys, scripts
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.teams import RedisTeams
from extproc.store.trace import usage_record
from extproc.store.trim import ENTRIES, carried_account
from extproc.store.usage import FIRST, usage_between, wallet_entries


@dataclass(slots=True)
class Audited:
    """What was looked at, and what was found; sums of all wallets in nano-USD.

    `unknown_revisions` counts the records of each configuration that is not known any more.
    """

    owners: int = 0
    accounts: int = 0
    holds: int = 0
    records: int = 0
    put_in_nano: int = 0
    held_nano: int = 0
    used_nano: int = 0
    unknown_revisions: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def add(self, tally: Tally, found: Snapshot) -> None:
        """Count one bucket."""
        wallets = [sums for account, sums in found.balances.items() if account.kind is AccountKind.WALLET]
        self.owners += len(wallets)
        self.accounts += len(found.balances)
        self.holds += len(found.holds)
        self.records += tally.records
        self.put_in_nano += sum(found.put_in_nano.values())
        self.held_nano += sum(sums.held_nano for sums in wallets)
        self.used_nano += sum(sums.used_nano for sums in wallets)
        self.differences += tally.differences(found)


async def audit(redis: Connection, prices: Prices | None = None) -> Audited:
    """Every bucket, one after the other; without `prices`, all but the terms in records. Raises `LedgerUnavailable`."""
    owners: dict[int, list[str]] = {}
    for owner in sorted(await redis.execute("SMEMBERS", keys.OWNERS)):
        owners.setdefault(bucket_of(owner), []).append(owner)
    audited = Audited(unknown_revisions=prices.unknown if prices else Counter())
    for bucket in range(BUCKETS):
        audited.add(*await read_bucket(redis, bucket, owners.get(bucket, []), prices))
    return audited


async def read_bucket(
    redis: Connection, bucket: int, owners: Iterable[str], prices: Prices | None = None
) -> tuple[Tally, Snapshot]:
    """What the log of a bucket adds up to, and the bucket at the moment up to which it was read.

    `owners` are those known to be in it; whoever else the log or a hold names is found. Raises `LedgerUnavailable`.
    """
    owners = list(owners)
    while True:
        unknown = Counter(prices.unknown) if prices else Counter()
        tally, found, removed = await _read_bucket(redis, bucket, owners, prices)
        if await redis.execute("HGET", keys.carried(bucket), ENTRIES) == removed:
            return tally, found
        if prices:
            prices.unknown.clear()
            prices.unknown.update(unknown)


async def _read_bucket(
    redis: Connection, bucket: int, owners: Iterable[str], prices: Prices | None
) -> tuple[Tally, Snapshot, str | None]:
    """The same, and how many entries of the log had been removed before: another number now, and it was all in vain."""
    tally, position, removed, first = Tally(prices), FIRST, None, True
    for owner in owners:
        tally.expect(owner, [Account(AccountKind.WALLET, owner)])
        for key in await RedisKeyring(redis).all_of(owner):
            tally.expect(owner, [Account(AccountKind.KEY, key.key_id), *key.quotas])
        for team in await RedisTeams(redis).all_of(owner):
            tally.expect(owner, team.quotas)
    while True:
        asked = list(tally.owners)
        reached, found, carried = await _snapshot(redis, bucket, asked)
        if first:
            first, removed = False, carried.get(ENTRIES)
            tally.carry({of: int(nano) for name, nano in carried.items() if (of := carried_account(name))})
        async for at_ms, entry in _entries(redis, bucket, position, reached):
            tally.add(at_ms, entry, _record(entry))
        for hold in found.holds:
            tally.expect(hold.owner, hold.accounts)
        if len(tally.owners) == len(asked):
            return tally, found, removed
        position = reached


async def _snapshot(redis: Connection, bucket: int, asked: list[Account]) -> tuple[str, Snapshot, Mapping[str, str]]:
    key_ids = [account.name for account in asked if account.kind is AccountKind.KEY]
    wallets = [account.name for account in asked if account.kind is AccountKind.WALLET]
    reached, live, sums, ends, holds, carried = await redis.script(
        scripts.SNAPSHOT,
        [
            keys.due(bucket),
            keys.usage(bucket),
            keys.carried(bucket),
            *(keys.key(bucket, key_id) for key_id in key_ids),
            *(keys.account(bucket, account) for account in asked),
            *(keys.entries(bucket, owner) for owner in wallets),
        ],
        [keys.hold_prefix(bucket), len(key_ids), len(asked)],
    )
    balances = [Balance(*(int(nano or 0) for nano in each)) for each in sums]
    put_in = [await _put_in(redis, owner, end) for owner, end in zip(wallets, ends, strict=True)]
    found = Snapshot(
        balances=dict(zip(asked, balances, strict=True)),
        live=dict(zip(key_ids, map(int, live), strict=True)),
        holds=[_hold(each) for each in holds],
        put_in_nano=dict(zip(wallets, put_in, strict=True)),
    )
    return reached, found, dict(zip(carried[::2], carried[1::2], strict=True))


async def _put_in(redis: Connection, owner: str, end: str) -> int:
    return sum([entry.amount_nano async for entry in wallet_entries(redis, owner, end)])


async def _entries(redis: Connection, bucket: int, after: str, last: str) -> AsyncIterator[tuple[int, UsageEntry]]:
    async for position, entry in usage_between(redis, bucket, after, last):
        yield int(position.partition("-")[0]), entry


def _hold(stored: list[Any]) -> LiveHold:
    hold_id, state, owner, key_id, amount_nano, accounts = stored
    named = tuple(keys.account_of(name) for name in json.loads(accounts or "[]"))
    held = int(state or 0) == State.HELD
    return LiveHold(hold_id, owner or "nobody", key_id or "", int(amount_nano or 0), named, held)


def _record(entry: UsageEntry) -> UsageRecord | None:
    """The record of a settled request; an expired one has only its quote, a release may have nothing."""
    return usage_record(entry) if entry.state.settled else None
