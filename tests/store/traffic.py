"""Requests that go on while Redis is changed under them, and what must be in the books afterwards."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from itertools import count
from typing import Any, TypeVar

from extproc.core.identity import KeyRecord
from extproc.core.ledger import Account, AccountKind, End, Hold, Outcome, State, bucket_of
from extproc.errors import LedgerUnavailable
from extproc.store.audit import read_bucket
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from tests.store.records import record

NOW_MS = 4_000_000_000_000
DUE_MS = NOW_MS + 100
COST_NANO = 3
PATIENCE_SECONDS = 30

T = TypeVar("T")


async def answered(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What it answers in the end; while Redis is away it is repeated."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(LedgerUnavailable):
                return await call()


class Traffic:
    """Requests of one owner; every second is settled at once, the others stay held. What was answered is remembered."""

    def __init__(self, redis: Connection, owner: str) -> None:
        self.redis = redis
        self.ledger = RedisLedger(redis)
        self.key = KeyRecord(f"key-of-{owner}", owner, "sk-", "", "g", max_live=1_000_000)
        self.held: set[str] = set()
        self.ended: set[str] = set()

    async def open(self) -> None:
        """Make the key and fill the wallet."""
        await RedisKeyring(self.redis).create(self.key, f"digest of {self.key.key_id}")
        await self.ledger.top_up(self.key.owner, 1_000_000, "paid", NOW_MS)

    def ask(self, hold_id: str, deadline_ms: int = DUE_MS) -> Hold:
        """A hold of the key's."""
        accounts = self.key.accounts("2026-11")
        return Hold(hold_id, self.key.owner, self.key.key_id, 1, accounts, 5, NOW_MS, deadline_ms, "{}", max_live=10**6)

    def told(self, hold_id: str) -> End:
        """Its settlement."""
        accounts = self.key.accounts("2026-11")
        text = record(hold_id, self.key.owner, accounts, State.REPORTED, COST_NANO)
        return End(hold_id, self.key.owner, accounts, State.REPORTED, COST_NANO, NOW_MS, DUE_MS, "test", text)

    def through(self, redis: Connection) -> "Traffic":
        """The same traffic over another connection, from now on."""
        self.redis, self.ledger = redis, RedisLedger(redis)
        return self

    @contextlib.asynccontextmanager
    async def flowing(self, streams: int = 4) -> AsyncIterator[None]:
        """Inside, requests go on; an outage is theirs to bear."""
        tasks = [asyncio.create_task(self._stream(name)) for name in range(streams)]
        yield
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def more(self, number: int = 20) -> None:
        """Wait until so many more have been held and settled."""
        held, ended = len(self.held) + number, len(self.ended) + number
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.held) < held or len(self.ended) < ended:
                await asyncio.sleep(0.001)

    async def check_answers(self) -> None:
        """Whatever was answered is in the books."""
        for hold_id in self.held:
            held = await answered(partial(self.ledger.hold, self.ask(hold_id)))
            assert held.outcome in (Outcome.EXISTS, Outcome.EXISTS_DIFFERENT)
        for hold_id in self.ended:
            assert (await answered(partial(self.ledger.end, self.told(hold_id)))).outcome is Outcome.UNCHANGED

    async def check_sums(self) -> None:
        """Nothing was charged twice or held for ever, and the audit finds nothing wrong."""
        for hold_id in self.held - self.ended:
            await answered(partial(self.ledger.end, self.told(hold_id)))
        bucket = bucket_of(self.key.owner)
        tally, found = await answered(partial(read_bucket, self.redis, bucket, [self.key.owner]))
        assert tally.differences(found) == []
        wallet = found.balances[Account(AccountKind.WALLET, self.key.owner)]
        assert wallet.used_nano == COST_NANO * tally.records
        assert wallet.held_nano == 5 * len(found.holds)
        assert found.live[self.key.key_id] == len(found.holds)

    async def _stream(self, name: int) -> None:
        for number in count():
            with contextlib.suppress(LedgerUnavailable):
                await self._request(f"request{name}-{number}", settled=number % 2 == 1)

    async def _request(self, hold_id: str, settled: bool) -> None:
        if (await self.ledger.hold(self.ask(hold_id))).outcome is Outcome.HELD:
            self.held.add(hold_id)
        if settled:
            await self.ledger.end(self.told(hold_id))
            self.ended.add(hold_id)
