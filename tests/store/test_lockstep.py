"""The ledger in Redis against its specification: the same verbs, in any order, answer alike and leave the same sums."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from extproc.core.identity import KeyRecord, KeyStatus, OwnerRecord
from extproc.core.ledger import (
    KEEP_MS,
    UNLIMITED,
    Account,
    Balance,
    End,
    Hold,
    Ledger,
    Outcome,
    State,
    bucket_of,
)
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.core.rate import Draw
from extproc.store.audit import read_bucket
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.usage import usage_of_bucket, wallet_entries
from tests.store.cluster import Cluster
from tests.store.records import record
from tests.store.redis_server import RedisServer

START_MS = 4_000_000_000_000
LIFE_MS = 100

NEIGHBOUR = next(name for name in map("neighbour{}".format, count()) if bucket_of(name) == bucket_of("ada"))
OWNERS = ("ada", NEIGHBOUR, "grace")
BUCKETS = {bucket_of(owner) for owner in OWNERS}
KEYS = tuple((owner, f"{owner}-key{number}") for owner in OWNERS for number in range(2))
HOLDS = tuple((*key, f"{key[1]}-hold{number}") for key in KEYS for number in range(2))

AMOUNTS = st.sampled_from([0, 1, 20, 20, 20, 40, 40, 61, MAX_ACCOUNT_NANO - 1, 10**30])
"""Few different ones, so that the same is often asked for twice."""

DRAWS = st.builds(Draw, st.sampled_from([0, 0, 3, 7]), st.sampled_from([1, 2, 5, 10**12]))
"""Of the requests or tokens of a minute, perhaps without a limit, perhaps more than a minute's."""

ENDS = st.sampled_from([State.RELEASED, State.ESTIMATED, State.PARTIAL, State.REPORTED])

T = TypeVar("T")


class Lockstep(RuleBasedStateMachine):
    """Three owners, two of them in one bucket, with two keys each and two holds a key."""

    server: ClassVar[RedisServer | Cluster]

    def __init__(self) -> None:
        super().__init__()
        self.server.flush()
        self.runner = asyncio.Runner()
        self.memory = MemoryLedger()
        self.connection = Connection(self.server.url)
        self.redis = RedisLedger(self.connection)
        self.keyring = RedisKeyring(self.connection)
        self.now_ms = START_MS
        self.month = 1
        self.live: dict[str, Hold] = {}
        self.charged: dict[str, tuple[tuple[Account, ...], int]] = {}
        self.keys: dict[str, KeyRecord] = {}
        self.said = {owner: OwnerRecord(owner) for owner in OWNERS}
        self.drawn_on: dict[str, tuple[Account, ...]] = {}
        for number, (owner, key_id) in enumerate(KEYS):
            team, member = ("red", ("bob", "")[number % 4 // 2]) if number % 2 else ("", "")
            self.store(KeyRecord(key_id, owner, "sk-", "", "g", team=team, member=member))
        for owner in OWNERS:
            self.both("top_up", owner, 100, "a", self.now_ms)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for it, in the loop of this example."""
        return self.runner.run(coroutine)

    def both(self, verb: str, *args: Any) -> Any:
        """The answer of both ledgers, once."""
        expected = self.run(getattr(self.memory, verb)(*args))
        assert self.run(getattr(self.redis, verb)(*args)) == expected
        return expected

    def accounts(self, key_id: str, hold_id: str) -> tuple[Account, ...]:
        """What a request draws on: frozen when it is first heard of, as its quote is."""
        return self.drawn_on.setdefault(hold_id, self.keys[key_id].accounts(str(self.month)))

    def store(self, key: KeyRecord) -> None:
        """Put a key into both."""
        self.memory.put_key(key)
        assert self.run(self.keyring.put(key, replaces=key.revision - 1))
        self.keys[key.key_id] = key

    @rule(
        key=st.sampled_from(KEYS),
        cap_nano=st.sampled_from([0, 50, MAX_ACCOUNT_NANO]),
        month_limit_nano=st.sampled_from([0, 45]),
        max_live=st.sampled_from([1, 100]),
        status=st.sampled_from([KeyStatus.ACTIVE] * 3 + [KeyStatus.DISABLED]),
    )
    def change_key(self, key: tuple[str, str], **terms: Any) -> None:
        """An operator edits a key."""
        before = self.keys[key[1]]
        self.store(replace(before, **terms, revision=before.revision + 1))

    @rule(owner=st.sampled_from(OWNERS))
    def change_owner(self, owner: str) -> None:
        """An operator says something of an owner."""
        said = replace(self.said[owner], revision=self.said[owner].revision + 1)
        self.memory.put_owner(said)
        assert self.run(self.keyring.put_owner(said, replaces=said.revision - 1))
        self.said[owner] = said

    @rule(key=st.sampled_from(KEYS), limit_nano=st.sampled_from([UNLIMITED, 0, 30, 60]))
    def set_quota(self, key: tuple[str, str], limit_nano: int) -> None:
        """An operator sets what a team, or a member of one, may spend."""
        for account in self.keys[key[1]].quotas[:1]:
            self.both("set_limit", key[0], account, limit_nano)

    @rule()
    def turn_the_month(self) -> None:
        """A new month begins."""
        self.month += 1

    @rule(owner=st.sampled_from(OWNERS), amount_nano=AMOUNTS.filter(bool), reference=st.sampled_from("abcd"))
    def top_up(self, owner: str, amount_nano: int, reference: str) -> None:
        """Money comes in, perhaps with a reference seen before."""
        self.both("top_up", owner, amount_nano, reference, self.now_ms)

    @rule(owner=st.sampled_from(OWNERS), amount_nano=AMOUNTS.filter(bool), reference=st.sampled_from("abcd"))
    def bonus(self, owner: str, amount_nano: int, reference: str) -> None:
        """Money is given."""
        self.both("bonus", owner, amount_nano, "a reason", reference, self.now_ms)

    @rule(owner=st.sampled_from(OWNERS), amount_nano=AMOUNTS.filter(bool), reference=st.sampled_from("abcd"))
    def refund(self, owner: str, amount_nano: int, reference: str) -> None:
        """Money goes back."""
        self.both("refund", owner, amount_nano, "a reason", reference, self.now_ms, "a request")

    @rule(
        owner=st.sampled_from(OWNERS),
        amount_nano=AMOUNTS.filter(bool),
        sign=st.sampled_from([1, -1]),
        reference=st.sampled_from("efgh"),
    )
    def adjust(self, owner: str, amount_nano: int, sign: int, reference: str) -> None:
        """An operator corrects a wallet."""
        self.both("adjust", owner, sign * amount_nano, "a reason", reference, self.now_ms)

    @rule(
        place=st.sampled_from(HOLDS),
        amount_nano=AMOUNTS,
        revisions_behind=st.sampled_from([0] * 7 + [1]),
        said_behind=st.sampled_from([0] * 7 + [1]),
        requests=DRAWS,
        tokens=DRAWS,
    )
    def hold(
        self,
        place: tuple[str, str, str],
        amount_nano: int,
        revisions_behind: int,
        said_behind: int,
        requests: Draw,
        tokens: Draw,
    ) -> None:
        """A request is admitted or refused."""
        owner, key_id, hold_id = place
        key, said = self.keys[key_id], self.said[owner]
        hold = Hold(
            hold_id,
            owner,
            key_id,
            key.revision - revisions_behind,
            self.accounts(key_id, hold_id),
            amount_nano,
            self.now_ms,
            self.now_ms + LIFE_MS,
            f'{{"hold": "{hold_id}"}}',
            owner_revision=said.revision - said_behind,
            month_limit_nano=key.month_limit_nano or UNLIMITED,
            max_live=key.max_live,
            requests=requests,
            tokens=tokens,
        )
        if self.both("hold", hold).outcome is Outcome.HELD:
            self.live[hold_id] = hold

    @rule(
        place=st.sampled_from(HOLDS),
        state=ENDS,
        cost_nano=AMOUNTS,
        lost=st.sampled_from([False] * 7 + [True]),
        back_us=st.sampled_from([0, 20_000_000, -15_000_000]),
    )
    def end(self, place: tuple[str, str, str], state: State, cost_nano: int, lost: bool, back_us: int) -> None:
        """Somebody reports an end, perhaps of a hold that never was, perhaps long after."""
        owner, key_id, hold_id = place
        deadline_ms = self.now_ms - (KEEP_MS + 1 if lost else 0)
        cost_nano = cost_nano if state.settled else 0
        accounts = self.accounts(key_id, hold_id)
        said = record(hold_id, owner, accounts, state, cost_nano)
        end = End(hold_id, owner, accounts, state, cost_nano, self.now_ms, deadline_ms, "test", said, back_us)
        result = self.both("end", end)
        if result.outcome is Outcome.ENDED:
            self.live.pop(hold_id, None)
            self.charged[hold_id] = (accounts, result.charged_nano)

    @rule(owner=st.sampled_from(OWNERS), later_ms=st.integers(0, LIFE_MS), limit=st.integers(1, 5))
    def expire(self, owner: str, later_ms: int, limit: int) -> None:
        """Time passes and the sweeper comes by."""
        self.now_ms += later_ms
        for hold_id in self.both("expire_due", bucket_of(owner), self.now_ms, limit):
            assert self.live.pop(hold_id).deadline_ms <= self.now_ms

    @rule(later_ms=st.sampled_from([1_000, 20_000, 60_000]))
    def wait(self, later_ms: int) -> None:
        """Time passes, and the buckets of a minute empty."""
        self.now_ms += later_ms

    @invariant()
    def sums_add_up(self) -> None:
        """Every account holds what its live holds took and has used what was charged to it."""
        balances = self.run(self.balances(self.redis))
        assert self.run(self.balances(self.memory)) == balances
        for account, balance in balances.items():
            held = [hold.amount_nano for hold in self.live.values() if account in hold.accounts]
            used = [nano for accounts, nano in self.charged.values() if account in accounts]
            assert (balance.held_nano, balance.used_nano) == (sum(held), sum(used))

    async def balances(self, ledger: Ledger) -> dict[Account, Balance]:
        """The sums of every account."""
        months = [str(month) for month in range(1, self.month + 1)]
        places = {
            account: key.owner for key in self.keys.values() for month in months for account in key.accounts(month)
        }
        sums = await asyncio.gather(*(ledger.balance(owner, account) for account, owner in places.items()))
        return dict(zip(places, sums, strict=True))

    def teardown(self) -> None:
        """Both have written the same log, and the audit finds nothing."""
        try:
            self.run(self.compare_logs())
            self.run(self.audit())
        finally:
            self.run(self.connection.aclose())
            self.runner.close()

    async def compare_logs(self) -> None:
        """Entry by entry, in the order in which they were written."""
        for bucket in BUCKETS:
            expected = [entry for entry in self.memory.usage_log if bucket_of(entry.owner) == bucket]
            assert [entry async for entry in usage_of_bucket(self.connection, bucket)] == expected
        for owner in OWNERS:
            entries = [entry async for entry in wallet_entries(self.connection, owner)]
            assert entries == self.memory.wallet_log.get(owner, [])

    async def audit(self) -> None:
        """It has looked at every hold, every record and every account on which anything ever happened."""
        for bucket in BUCKETS:
            owners = [owner for owner in OWNERS if bucket_of(owner) == bucket]
            tally, found = await read_bucket(self.connection, bucket, owners)
            assert tally.differences(found) == []
            assert tally.records == len([one for one in self.memory.usage_log if bucket_of(one.owner) == bucket])
            assert {hold.hold_id for hold in found.holds} == {
                hold_id for hold_id, hold in self.live.items() if bucket_of(hold.owner) == bucket
            }
            touched = {
                account
                for owner, _, hold_id in HOLDS
                if bucket_of(owner) == bucket and self.charged.get(hold_id, ((), 0))[1]
                for account in self.charged[hold_id][0]
            }
            assert touched <= found.balances.keys()


def test_redis_and_memory_never_differ(server: RedisServer | Cluster) -> None:
    """Random interleavings of all verbs answer alike, leave the same sums and the same log, and money is conserved."""
    Lockstep.server = server
    examples = 60 if isinstance(server, RedisServer) else 20
    run_state_machine_as_test(
        Lockstep,
        settings=settings(
            max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
