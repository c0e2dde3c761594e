"""Which plaintexts open a key, whatever is done to it, wherever that breaks off, and whatever a worker remembers.

A worker is asked as a request asks it: its cache first, and Redis once a hold has refused what the cache knew.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from extproc.core.identity import Caller, KeyRecord, KeyStatus
from extproc.core.ledger import Account, AccountKind, Hold, Outcome, bucket_of
from extproc.errors import LedgerUnavailable
from extproc.store import keys
from extproc.store.changes import changes_of_bucket
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from tests.store.faults import Dying
from tests.store.redis_server import RedisServer

START_MS = 1_000_000
KEY = KeyRecord("k1", "ada", "sk-0", "", "g", digest="d0")
FAR_MS = 4_000_000_000_000
NUMBERS = count()

T = TypeVar("T")


@dataclass(slots=True)
class Clock:
    """A time that stands still until it is set."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        """The time."""
        return self.now_ms


def hold_with(caller: Caller, hold_id: str) -> Hold:
    """A free hold by someone who knows the key and its owner like this."""
    key, revision = caller.key, caller.owner.revision
    accounts = key.accounts("2026-11")
    return Hold(hold_id, key.owner, key.key_id, key.revision, accounts, 0, 0, FAR_MS, "", revision, max_live=10**6)


class Worker:
    """What answers requests: it has a cache, and asks again when that, or a hold, says no."""

    def __init__(self, redis: Connection, clock: Clock) -> None:
        self.ring = RedisKeyring(redis, clock)
        self._ledger = RedisLedger(redis)

    async def admits(self, digest: str) -> bool:
        """Whether a request with this plaintext gets anywhere; its hold is ended by nobody."""
        caller = await self.ring.find(digest)
        if caller and caller.key.status is not KeyStatus.ACTIVE:
            caller = await self.ring.find_fresh(digest)
        for _ in range(2):
            if caller is None or caller.key.status is not KeyStatus.ACTIVE:
                return False
            result = await self._ledger.hold(hold_with(caller, f"h{next(NUMBERS)}"))
            if result.outcome is Outcome.HELD:
                return True
            caller = await self.ring.find_fresh(digest)
        return False


Act = Callable[[RedisKeyring], Coroutine[Any, Any, object]]

ACTS: dict[str, tuple[Act, set[str], set[str]]] = {
    "create": (lambda ring: ring.create(replace(KEY, key_id="k2"), "d2"), {"d0"}, {"d0", "d2"}),
    "rotate": (lambda ring: ring.rotate("k1", "d1", "sk-1", revision=1), {"d0"}, {"d1"}),
    "rotate with an overlap": (lambda ring: ring.rotate("k1", "d1", "sk-1", START_MS + 1), {"d0"}, {"d0", "d1"}),
    "delete": (lambda ring: ring.delete("k1", revision=1), {"d0"}, set()),
    "disable": (lambda ring: ring.disable("k1"), {"d0"}, set()),
}
"""What is done, and which digests open a key before it and after it."""


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("done", [True, False])
async def test_nothing_is_done_by_half(server: RedisServer, connection: Connection, act: str, done: bool) -> None:
    """Wherever it breaks off, what opened before opens, or what shall; doing it again finishes it, with one change."""
    do, before, after = ACTS[act]
    seen, lives, survived = [], 0, False
    while not survived:
        server.flush()
        worker = Worker(connection, Clock())
        await worker.ring.create(KEY, "d0")
        assert await worker.admits("d0")
        async with aclosing(Dying(server.url, lives, done)) as dying:
            try:
                await do(RedisKeyring(dying, Clock()))
                survived = True
            except LedgerUnavailable:
                lives += 1
        seen.append(await opening(worker))
        assert seen[-1] == await opening(Worker(connection, Clock()))
        await do(RedisKeyring(connection, Clock()))
        assert await opening(worker) == await opening(Worker(connection, Clock())) == after
        assert len([change async for change in changes_of_bucket(connection, bucket_of("ada"))]) == 2
    assert lives >= 3
    assert seen == sorted(seen, key=lambda one: one == after)
    assert [one for one in seen if one not in (before, after)] == []


async def opening(worker: Worker) -> set[str]:
    """The digests with which a request gets anywhere."""
    return {digest for digest in ("d0", "d1", "d2") if await worker.admits(digest)}


async def test_a_rotated_key_is_the_same_key(connection: Connection) -> None:
    """Its account and all that is said of it stay; only digest and prefix are others, and look-ups of the old go."""
    ring, ledger = RedisKeyring(connection), RedisLedger(connection)
    await ring.create(replace(KEY, cap_nano=70), "d0")
    rotated = await ring.rotate("k1", "d1", "sk-1")
    assert rotated == replace(KEY, cap_nano=70, digest="d1", old_digest="d0", prefix="sk-1", revision=2)
    assert (await ledger.balance("ada", Account(AccountKind.KEY, "k1"))).limit_nano == 70
    assert await connection.execute("EXISTS", keys.by_digest("d0")) == 0
    assert await ring.rotate("k9", "d9", "sk-9") is None
    assert await connection.execute("EXISTS", keys.by_digest("d9")) == 0


async def test_an_overlap_ends_by_itself(connection: Connection) -> None:
    """To the millisecond, also for a worker that has the key in its cache, and nobody writes a thing."""
    clock = Clock()
    worker = Worker(connection, clock)
    await worker.ring.create(KEY, "d0")
    await worker.ring.rotate("k1", "d1", "sk-1", START_MS + 10)
    assert await opening(worker) == {"d0", "d1"}
    clock.now_ms += 9
    assert await opening(worker) == {"d0", "d1"}
    clock.now_ms += 1
    assert await worker.ring.find("d0") is None
    assert await opening(worker) == await opening(Worker(connection, clock)) == {"d1"}


async def test_a_rotation_ends_the_overlap_before_it(connection: Connection) -> None:
    """Two plaintexts open a key at most."""
    worker = Worker(connection, Clock())
    await worker.ring.create(KEY, "d0")
    await worker.ring.rotate("k1", "d1", "sk-1", START_MS + 10)
    await worker.ring.rotate("k1", "d2", "sk-2", START_MS + 10)
    assert await opening(worker) == {"d1", "d2"}
    await worker.ring.rotate("k1", "d0", "sk-0", 0)
    assert await opening(worker) == await opening(Worker(connection, Clock())) == {"d0"}
    for digest in ("d1", "d2"):
        assert await connection.execute("EXISTS", keys.by_digest(digest)) == 0


@dataclass(slots=True)
class Known:
    """A key as it should be: what opens it, what did before and until when."""

    digest: str
    old: str = ""
    until_ms: int = 0
    status: KeyStatus = KeyStatus.ACTIVE
    edits: int = 0


class Rotations(RuleBasedStateMachine):
    """Two keys of one owner, two workers with their caches, and an operator whose connection may die at any command."""

    server: ClassVar[RedisServer]

    def __init__(self) -> None:
        super().__init__()
        self.server.flush()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.connection = Connection(self.server.url)
        self.ring = RedisKeyring(self.connection, self.clock)
        self.workers = [Worker(self.connection, self.clock) for _ in range(2)]
        self.known = {key_id: Known(f"{key_id}-0") for key_id in ("k1", "k2")}
        self.digests = [known.digest for known in self.known.values()]
        for key_id, known in self.known.items():
            self.run(self.ring.create(replace(KEY, key_id=key_id, digest=""), known.digest))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for it, in the loop of this example."""
        return self.runner.run(coroutine)

    async def at_last(self, lives: int, done: bool, do: Act) -> None:
        """Do it over a connection that may die, and again over one that does not."""
        async with aclosing(Dying(self.server.url, lives, done)) as dying:
            try:
                await do(RedisKeyring(dying, self.clock))
            except LedgerUnavailable:
                await do(self.ring)

    @rule(
        key_id=st.sampled_from(["k1", "k2"]),
        overlap_ms=st.sampled_from([0, 0, 5, 20]),
        lives=st.integers(0, 8),
        done=st.booleans(),
    )
    def rotate(self, key_id: str, overlap_ms: int, lives: int, done: bool) -> None:
        """Another plaintext."""
        known, digest = self.known[key_id], f"{key_id}-{len(self.digests)}"
        self.digests.append(digest)
        until_ms = self.clock.now_ms + overlap_ms if overlap_ms else 0
        self.run(self.at_last(lives, done, lambda ring: ring.rotate(key_id, digest, "sk-", until_ms)))
        if known.status is not KeyStatus.DELETED:
            known.old, known.digest, known.until_ms = known.digest, digest, until_ms

    @rule(key_id=st.sampled_from(["k1", "k2"]), lives=st.integers(0, 8), done=st.booleans())
    def delete(self, key_id: str, lives: int, done: bool) -> None:
        """No key any more."""
        self.run(self.at_last(lives, done, lambda ring: ring.delete(key_id)))
        self.known[key_id].status = KeyStatus.DELETED

    @rule(key_id=st.sampled_from(["k1", "k2"]), status=st.sampled_from([KeyStatus.ACTIVE, KeyStatus.DISABLED]))
    def switch(self, key_id: str, status: KeyStatus) -> None:
        """Off or on; never a deleted one."""
        edited = self.run(self.ring.edit(key_id, lambda key: replace(key, status=status)))
        known = self.known[key_id]
        assert (edited is None) == (known.status is KeyStatus.DELETED)
        known.status = status if edited else known.status

    @rule(key_id=st.sampled_from(["k1", "k2"]), number=st.integers(1, 4))
    def edit(self, key_id: str, number: int) -> None:
        """Several edits at once, all of which count."""

        def one_more(key: KeyRecord) -> KeyRecord:
            return replace(key, cap_nano=key.cap_nano + 1)

        async def edits() -> None:
            await asyncio.gather(*(self.ring.edit(key_id, one_more) for _ in range(number)))

        self.run(edits())
        self.known[key_id].edits += number if self.known[key_id].status is not KeyStatus.DELETED else 0

    @rule(later_ms=st.sampled_from([1, 5, 20]))
    def wait(self, later_ms: int) -> None:
        """Time passes."""
        self.clock.now_ms += later_ms

    @rule(number=st.integers(0, 1))
    def ask(self, number: int) -> None:
        """A worker is asked with every plaintext there ever was, and remembers what it finds."""
        known = self.known.values()
        active = [one for one in known if one.status is KeyStatus.ACTIVE]
        expected = {one.digest for one in active} | {one.old for one in active if self.clock.now_ms < one.until_ms}
        worker = self.workers[number]
        assert {digest for digest in self.digests if self.run(worker.admits(digest))} == expected

    @invariant()
    def records_are_as_they_should_be(self) -> None:
        """No edit was lost, and no deleted key is listed."""
        for key_id, known in self.known.items():
            record = self.run(self.ring.get(key_id))
            assert record is not None
            assert (record.digest, record.status, record.cap_nano) == (known.digest, known.status, known.edits)
        living = [key_id for key_id, known in self.known.items() if known.status is not KeyStatus.DELETED]
        assert [record.key_id for record in self.run(self.ring.list("ada"))] == living

    def teardown(self) -> None:
        """Every plaintext is tried by both workers."""
        try:
            for number in range(len(self.workers)):
                self.ask(number)
        finally:
            self.run(self.connection.aclose())
            self.runner.close()


def test_what_opens_a_key_is_what_was_said_last(server: RedisServer) -> None:
    """Random rotations, deletions and edits, broken off anywhere, leave open what is said, for every worker."""
    Rotations.server = server
    run_state_machine_as_test(
        Rotations,
        settings=settings(
            max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
