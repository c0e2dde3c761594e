"""Entries that are removed from the usage logs leave the books as they were."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.core.audit import REMEMBERED_MS, Prices
from extproc.core.identity import KeyRecord
from extproc.core.ledger import Account, AccountKind, End, Hold, State, bucket_of
from extproc.store import keys, trim
from extproc.store.audit import audit, read_bucket
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.trim import LEAST_MS, trim_bucket
from extproc.store.usage import usage_of_bucket
from tests.index.samples import Told
from tests.store.records import record
from tests.store.redis_server import RedisServer

START_MS = 4_000_000_000_000
DAY_MS = 86_400_000
B = bucket_of("ada")
KEYS = (
    KeyRecord("ada-key", "ada", "sk-", "", "g", team="red", member="bob"),
    KeyRecord("ada-own", "ada", "sk-", "", "g"),
)
WALLET = Account(AccountKind.WALLET, "ada")


@dataclass
class World:
    """One owner with two keys, whose requests are told of in any order, on a clock of its own."""

    redis: Connection
    now_ms: int = START_MS
    begun_ms: dict[str, int] = field(default_factory=dict)

    async def open(self) -> None:
        """Make the keys, and fill the wallet."""
        for key in KEYS:
            await RedisKeyring(self.redis).create(key, f"digest of {key.key_id}")
        await RedisLedger(self.redis).top_up("ada", 10**6, "paid", START_MS)

    async def begin(self, held: bool) -> None:
        """Another request; perhaps its hold is lost."""
        name = f"r{len(self.begun_ms)}"
        self.begun_ms[name] = self.now_ms
        if held:
            key = self.key(name)
            quote = Told(name, key, self.now_ms, State.EXPIRED, 0).text
            hold = Hold(name, "ada", key.key_id, 1, self.accounts(name), 5, self.now_ms, self.now_ms + 9, quote)
            await RedisLedger(self.redis).hold(hold)

    async def end(self, name: str, state: State, cost_nano: int) -> None:
        """A report; the ledger takes none of a request that it has forgotten."""
        if self.now_ms - self.begun_ms[name] < REMEMBERED_MS:
            cost_nano = cost_nano if state.settled else 0
            text = self.told(name, state, cost_nano)
            at = (self.now_ms, self.now_ms)
            await RedisLedger(self.redis).end(
                End(name, "ada", self.accounts(name), state, cost_nano, *at, "test", text)
            )

    def told(self, name: str, state: State, cost_nano: int) -> str:
        """Its record."""
        known = msgspec.json.decode(record(name, "ada", self.accounts(name), state, cost_nano))
        return msgspec.json.encode({**known, "time_ms": self.begun_ms[name]}).decode()

    def key(self, name: str) -> KeyRecord:
        """Every second request is of the team's key."""
        return KEYS[int(name[1:]) % 2]

    def accounts(self, name: str) -> tuple[Account, ...]:
        """In a month of their own for each ten days."""
        return self.key(name).accounts(f"2026-{self.begun_ms[name] // (10 * DAY_MS) % 12}")

    async def trim(self) -> int:
        """Remove what may be removed now."""
        return await trim_bucket(self.redis, B, self.now_ms - LEAST_MS)

    async def left(self) -> set[str]:
        """The requests that still have entries."""
        return {entry.hold_id async for entry in usage_of_bucket(self.redis, B)}


ENDS = [State.RELEASED, State.ESTIMATED, State.PARTIAL, State.REPORTED]
STEPS = st.one_of(
    st.tuples(st.just("begin"), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 30), st.sampled_from(ENDS), st.integers(0, 20)),
    st.tuples(st.just("pass"), st.sampled_from([1, DAY_MS, LEAST_MS - DAY_MS, LEAST_MS])),
    st.tuples(st.just("expire")),
    st.tuples(st.just("trim")),
)


async def check(world: World, steps: list[Any]) -> None:
    """After every step the audit finds nothing, and no sum of the wallet is changed by removing entries."""
    await world.open()
    for name, *said in steps:
        match name:
            case "begin":
                await world.begin(*said)
            case "end" if world.begun_ms:
                await world.end(f"r{said[0] % len(world.begun_ms)}", *said[1:])
            case "pass":
                world.now_ms += said[0]
            case "expire":
                await RedisLedger(world.redis).expire_due(B, world.now_ms, 100)
            case "trim":
                before = await RedisLedger(world.redis).balance("ada", WALLET)
                await world.trim()
                assert await RedisLedger(world.redis).balance("ada", WALLET) == before
                oldest = min((world.begun_ms[each] for each in await world.left()), default=world.now_ms)
                assert oldest >= world.now_ms - LEAST_MS
        tally, found = await read_bucket(world.redis, B, ["ada"])
        assert tally.differences(found) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(STEPS, max_size=25))
def test_the_audit_stays_clean(server: RedisServer, steps: list[Any]) -> None:
    """Whatever ends how and when, and whatever is removed in between."""

    async def run() -> None:
        connection = Connection(server.url)
        try:
            await check(World(connection), steps)
        finally:
            await connection.aclose()

    server.flush()
    asyncio.run(run())


@pytest.fixture
async def old(connection: Connection) -> World:
    """Five old requests with two entries each, the second long after the first, and a new one."""
    world = World(connection)
    await world.open()
    for number in range(5):
        await world.begin(held=True)
        await world.end(f"r{number}", State.PARTIAL, 10)
    world.now_ms += 2 * DAY_MS
    for number in range(5):
        await world.end(f"r{number}", State.REPORTED, 10 + number)
    world.now_ms += LEAST_MS - DAY_MS
    await world.begin(held=True)
    await world.end("r5", State.REPORTED, 7)
    return world


async def test_a_log_of_which_nothing_is_left_adds_up(connection: Connection) -> None:
    """What is carried counts once, also for accounts that nothing else names."""
    world = World(connection)
    await world.open()
    await world.begin(held=False)
    await world.end("r0", State.REPORTED, 3)
    world.now_ms += LEAST_MS + 1
    assert await world.trim() == 1
    audited = await audit(connection)
    assert (audited.differences, audited.used_nano, audited.records) == ([], 3, 0)


async def test_whole_requests_go(old: World) -> None:
    """Both entries of each old request, and neither before nor after the other's day; a new request stays."""
    assert await old.trim() == 10
    assert await old.left() == {"r5"}
    assert (await audit(old.redis)).used_nano == 10 + 11 + 12 + 13 + 14 + 7
    assert await old.trim() == 0


async def test_at_every_point_the_books_are_right(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any script, it leaves nothing wrong, and goes on where it was."""
    monkeypatch.setattr(trim, "ENTRIES_AT_ONCE", 1)
    for left in range(10, 0, -1):
        with pytest.raises(asyncio.CancelledError):
            await trim_bucket(Dying(old.redis), B, old.now_ms - LEAST_MS)  # type: ignore[arg-type]
        tally, found = await read_bucket(old.redis, B, ["ada"])
        assert tally.differences(found) == []
        assert tally.records == left
    assert await old.trim() == 0
    assert await old.left() == {"r5"}


class Dying:
    """A connection that is cut after its first script."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def script(self, *asked: Any) -> Any:
        """Let it be carried out, and die."""
        await self._redis.script(*asked)
        raise asyncio.CancelledError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)


class Trimming(Connection):
    """While an audit reads the log, old entries are removed from it, once."""

    world: World | None = None

    async def execute(self, command: str, *args: str | int) -> Any:
        """The command, and before the first page of the log the trimming."""
        if command == "XRANGE" and args[0] == keys.usage(B) and self.world is not None:
            world, self.world = self.world, None
            assert await world.trim() == 10
        return await super().execute(command, *args)


async def test_an_audit_under_way_reads_anew(old: World, server: RedisServer) -> None:
    """What is removed after the sums were read is missing from the log, and no difference."""
    trimming = Trimming(server.url)
    trimming.world = old
    prices = Prices(lambda _: None, {})
    audited = await audit(trimming, prices)
    assert (audited.differences, audited.records, prices.unknown) == ([], 1, {"rev1": 1})
    await trimming.aclose()


async def test_two_at_once_remove_each_entry_once(old: World) -> None:
    """The second finds nothing there, and carries nothing."""
    removed = await asyncio.gather(*(old.trim() for _ in range(4)))
    assert sum(removed) == 10
    assert (await audit(old.redis)).differences == []


async def test_a_charge_that_cannot_be_explained_stays(old: World) -> None:
    """An entry that the audit complains of is not swept away."""
    accounts = old.accounts("r0")
    end = End("bare", "ada", accounts, State.REPORTED, 4, START_MS, START_MS, "test", "not JSON")
    await RedisLedger(old.redis).end(end)
    complaints = [str(each) for each in (await audit(old.redis)).differences]
    await old.trim()
    assert complaints
    assert [str(each) for each in (await audit(old.redis)).differences] == complaints
