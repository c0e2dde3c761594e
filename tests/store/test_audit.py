"""The audit on a real Redis: what is right is not complained of, and whatever is wrong is found and named."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count
from typing import Any

import msgspec
import pytest

from extproc.core.audit import Difference, Prices
from extproc.core.catalog import Catalog, Channel, Dialect, Group, Member, Model, Operation
from extproc.core.identity import KeyRecord
from extproc.core.ledger import UNLIMITED, Account, AccountKind, End, Hold, State, bucket_of
from extproc.core.people import Member as Person
from extproc.core.people import TeamRecord
from extproc.core.pricing import ONE, Price, Terms
from extproc.store import keys, usage
from extproc.store.audit import Audited, audit, read_bucket
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.teams import RedisTeams
from tests.store.records import NANO_A_TOKEN, record
from tests.store.redis_server import RedisServer

NOW_MS = 4_000_000_000_000
KEY = KeyRecord("ada-key", "ada", "sk-abcdefg", "", "main", team="red", member="bob")
ACCOUNTS = KEY.accounts("2026-11")
NEIGHBOUR = next(name for name in map("neighbour{}".format, count()) if bucket_of(name) == bucket_of("ada"))
OTHER = KeyRecord("other-key", NEIGHBOUR, "sk-abcdefg", "", "main")
B = bucket_of("ada")
WALLET = keys.account(B, Account(AccountKind.WALLET, "ada"))

CHANNEL = Channel("a", Dialect.OPENAI, "https://vendor.test/v1", None, {"gpt": "gpt-a"})
GROUP = Group("main", ONE, frozenset({"gpt"}), (Member(CHANNEL, 0, 1),))
MODEL = Model("gpt", (Price(Terms(NANO_A_TOKEN)),), False, 0)
CATALOG = Catalog.of("rev1", {"a": CHANNEL}, {"gpt": MODEL}, {"main": GROUP})
CHAT = Operation("openai.chat", Dialect.OPENAI, output=False)


def prices() -> Prices:
    """What the records of `record` are priced by: one revision, one model."""
    return Prices({"rev1": CATALOG}.get, {CHAT.name: CHAT})


def ask(hold_id: str, amount_nano: int, key: KeyRecord = KEY) -> Hold:
    """A hold on every account of the key; what is to be `gone` is due soon."""
    accounts = key.accounts("2026-11")
    deadline_ms = NOW_MS + (1 if hold_id.endswith("gone") else 100)
    return Hold(hold_id, key.owner, key.key_id, 1, accounts, amount_nano, NOW_MS, deadline_ms, "{}")


def told(
    hold_id: str, state: State, cost_nano: int, key: KeyRecord = KEY, said: str | None = None, at_ms: int = NOW_MS
) -> End:
    """A report with its record, or with what else is `said`."""
    accounts = key.accounts("2026-11")
    text = record(hold_id, key.owner, accounts, state, cost_nano) if said is None else said
    return End(hold_id, key.owner, accounts, state, cost_nano, at_ms, NOW_MS + 100, "test", text)


@pytest.fixture
async def busy(connection: Connection) -> Connection:
    """Two owners in one bucket who have done all that can be done: 4 live holds, and 9 entries in the log."""
    ledger = RedisLedger(connection)
    for key in (KEY, OTHER):
        await RedisKeyring(connection).create(key, f"digest of {key.key_id}")
        await ledger.top_up(key.owner, 1_000, "paid", NOW_MS)
        for name, amount_nano in (("live1", 7), ("live2", 0), ("ended", 40), ("gone", 9), ("failed", 5)):
            await ledger.hold(ask(f"{key.owner}-{name}", amount_nano, key))
        await ledger.end(told(f"{key.owner}-ended", State.PARTIAL, 30, key))
        await ledger.end(told(f"{key.owner}-ended", State.REPORTED, 45, key))
        await ledger.end(told(f"{key.owner}-failed", State.RELEASED, 0, key, said=""))
    await ledger.expire_due(B, NOW_MS + 1, 10)
    await ledger.end(told("ada-lost", State.ESTIMATED, 3))
    await ledger.refund("ada", 20, "it was our fault", "r", NOW_MS, "ada-ended")
    await ledger.adjust("ada", -120, "wrong wallet", "s", NOW_MS)
    await ledger.set_limit("ada", ACCOUNTS[3], UNLIMITED)
    return connection


async def test_what_is_right_is_counted_and_not_complained_of(
    busy: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every account of both owners, also those that only the log names; page by page."""
    monkeypatch.setattr(usage, "PAGE", 2)
    assert await audit(busy, prices()) == Audited(
        owners=2, accounts=8, holds=4, records=9, put_in_nano=1_900, held_nano=14, used_nano=93, differences=[]
    )


async def test_what_is_deleted_is_looked_at_all_the_same(busy: Connection) -> None:
    """A deleted key with live holds, a deleted team, one without keys, and a bonus: still nothing is wrong."""
    teams = RedisTeams(busy)
    await teams.create(TeamRecord("ada", "red", quota_nano=200, members={"bob": Person(quota_nano=100)}))
    await teams.edit("ada", "red", lambda team: replace(team, deleted=True), "team.delete")
    await teams.create(TeamRecord("ada", "blue", members={"eve": Person()}))
    await RedisLedger(busy).bonus("ada", 50, "welcome", "b", NOW_MS)
    await RedisKeyring(busy).create(KeyRecord("spare", "ada", "sk-", "", "main"), "spare digest")
    for key_id in ("ada-key", "spare"):
        await RedisKeyring(busy).delete(key_id)
    audited = await audit(busy, prices())
    assert audited.differences == []
    assert (audited.accounts, audited.holds, audited.put_in_nano) == (11, 4, 1_950)
    spare, eve = Account(AccountKind.KEY, "spare"), Account(AccountKind.MEMBER, "ada/blue/eve")
    for account in (spare, ACCOUNTS[2], eve):
        await busy.execute("HINCRBY", keys.account(B, account), "used", 1)
    found = [difference.what for difference in (await audit(busy)).differences]
    assert sorted(found) == ["key spare used", "member ada/blue/eve used", "member ada/red/bob used"]


async def test_records_of_an_unknown_revision_are_counted(busy: Connection) -> None:
    """The five entries of settled requests, by revision; that is no difference."""
    await rewrite(busy, revision="gone")
    audited = await audit(busy, prices())
    assert (audited.unknown_revisions, audited.differences) == ({"gone": 1}, [])
    audited = await audit(busy, Prices(lambda _: None, {}))
    assert (audited.unknown_revisions, audited.differences) == ({"rev1": 4, "gone": 1}, [])


async def test_nothing_is_right_too(connection: Connection) -> None:
    """An empty Redis has nothing to look at, and nothing is wrong with it."""
    assert await audit(connection) == Audited()


class Meddling(Connection):
    """Before each page of a log is read, a request is held and another settled, the first in a month of its own."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.number = self.left = 0
        self.other = RedisLedger(Connection(url))

    async def execute(self, command: str, *args: str | int) -> Any:
        """The command, after what happens meanwhile."""
        if command == "EVALSHA":
            self.left = 20
        if command == "XRANGE" and self.left:
            self.number, self.left = self.number + 1, self.left - 1
            await self.other.hold(ask(f"more{self.number}", 1))
            month = KEY.accounts("2026-12") if self.number == 1 else ACCOUNTS
            text = record(f"new{self.number}", "ada", month, State.REPORTED, 2)
            end = End(f"new{self.number}", "ada", month, State.REPORTED, 2, NOW_MS, NOW_MS + 100, "test", text)
            await self.other.end(end)
            await self.other.top_up("ada", 1, f"more{self.number}", NOW_MS)
        return await super().execute(command, *args)


async def test_what_happens_meanwhile_makes_no_difference(
    busy: Connection, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Holds, charges and top-ups between reading a bucket and reading its logs: none is missed or mixed up."""
    monkeypatch.setattr(usage, "PAGE", 3)
    meddling = Meddling(server.url)
    tally, found = await read_bucket(meddling, B, ["ada", NEIGHBOUR])
    assert tally.differences(found) == []
    assert KEY.accounts("2026-12")[1] in found.balances
    assert meddling.number > 5
    assert (await audit(busy)).differences == []


Plant = Callable[[Connection], Awaitable[object]]


def bump(name: str, field: str, by: int) -> Plant:
    """Change one number behind the ledger's back."""
    return lambda redis: redis.execute("HINCRBY", name, field, by)


async def rewrite(redis: Connection, **changed: object) -> None:
    """Write the last entry of `ada-ended` anew with other fields in its record, as the last of the log."""
    log = keys.usage(B)
    for position, pairs in await redis.execute("XRANGE", log, "-", "+"):
        if pairs["id"] == "ada-ended" and int(pairs["state"]) == State.REPORTED:
            await redis.execute("XDEL", log, position)
            text = msgspec.json.encode({**msgspec.json.decode(pairs["record"]), **changed}).decode()
            words = [word for pair in {**pairs, "record": text}.items() for word in pair]
            await redis.execute("XADD", log, "*", *words)


async def charge_twice(redis: Connection) -> None:
    """The hold is forgotten and its report is taken for new."""
    await redis.execute("DEL", keys.hold(B, "ada-ended"))
    await RedisLedger(redis).end(told("ada-ended", State.REPORTED, 45))


async def lose_a_hold(redis: Connection) -> None:
    """Only the deadline of a live hold is left."""
    await redis.execute("DEL", keys.hold(B, "ada-live2"))


async def charge_dearly(redis: Connection) -> None:
    """The terms and the cost agree with one another, and every sum with the cost."""
    honest = msgspec.json.decode(record("ada-dear", "ada", ACCOUNTS, State.REPORTED, 2))
    said = msgspec.json.encode({**honest, "multiplier_ppm": 3 * ONE, "cost_nano": 6}).decode()
    await RedisLedger(redis).end(told("ada-dear", State.REPORTED, 6, said=said))
    assert (await audit(redis)).differences == []


async def forget_a_record(redis: Connection) -> None:
    """A charge without a record."""
    await RedisLedger(redis).end(told("ada-bare", State.REPORTED, 0, said="not JSON"))


def wrong(what: str, expected: int | str, found: int | str) -> Difference:
    """A difference of ada's."""
    return Difference("ada", what, expected, found)


def terms(multiplier_ppm: int) -> str:
    """The terms of a record, in words."""
    return f"gpt-a at input 1000000 × {multiplier_ppm}"


def on_every_account(sum_name: str, expected: int, found: int) -> list[Difference]:
    """The same difference on all accounts of ada's key."""
    return [wrong(f"{account.kind} {account.name} {sum_name}", expected, found) for account in ACCOUNTS]


PLANTED: dict[str, tuple[Plant, list[Difference]]] = {
    "used of a wallet": (bump(WALLET, "used", 1), [wrong("wallet ada used", 48, 49)]),
    "used of a month": (
        bump(keys.account(B, ACCOUNTS[1]), "used", -1),
        [wrong("key_month ada-key/2026-11 used", 48, 47)],
    ),
    "held of a wallet": (bump(WALLET, "held", 5), [wrong("wallet ada held", 7, 12)]),
    "held of a team": (bump(keys.account(B, ACCOUNTS[3]), "held", 5), [wrong("team ada/red held", 7, 12)]),
    "limit of a wallet": (bump(WALLET, "limit", 1), [wrong("wallet ada limit", 900, 901)]),
    "live of a key": (bump(keys.key(B, "ada-key"), "live", 1), [wrong("key ada-key live", 2, 3)]),
    "amount of a hold": (
        bump(keys.hold(B, "ada-live1"), "amount", 1),
        on_every_account("held", 8, 7),
    ),
    "a hold with no deadline": (
        lambda redis: redis.execute("ZREM", keys.due(B), "ada-live1"),
        [*on_every_account("held", 0, 7), wrong("key ada-key live", 1, 2)],
    ),
    "a deadline with no hold": (
        lose_a_hold,
        [Difference("nobody", "request ada-live2 hold", "held", "gone"), wrong("key ada-key live", 1, 2)],
    ),
    "cost in a record": (lambda redis: rewrite(redis, cost_nano=44), [wrong("request ada-ended cost", 45, 44)]),
    "multiplier in a record": (
        lambda redis: rewrite(redis, multiplier_ppm=2_000_000),
        [
            wrong("request ada-ended cost", 90, 45),
            wrong("request ada-ended charged", 90, 45),
            wrong("request ada-ended terms", terms(ONE), terms(2 * ONE)),
        ],
    ),
    "a charge at another price": (
        charge_dearly,
        [wrong("request ada-dear terms", terms(ONE), terms(3 * ONE))],
    ),
    "a request charged twice": (charge_twice, [wrong("request ada-ended charged", 45, 90)]),
    "a charge without a record": (forget_a_record, [wrong("request ada-bare record", "one", "none")]),
}


@pytest.mark.parametrize("what", PLANTED)
async def test_what_is_wrong_is_found_and_named(busy: Connection, what: str) -> None:
    """One thing is changed behind the ledger's back: that is what is complained of, and nothing else."""
    plant, expected = PLANTED[what]
    await plant(busy)
    found = (await audit(busy, prices())).differences
    assert sorted(map(str, found)) == sorted(map(str, expected))


async def test_a_partial_charge_is_at_most_its_hold(connection: Connection) -> None:
    """What was delivered would cost 50, but 40 were held: 40 is right, also in the record, and 41 is not."""
    accounts = KEY.accounts("2026-11")
    for cost_nano in (40, 41):
        text = msgspec.json.decode(record("id", "ada", accounts, State.PARTIAL, 50, hold_nano=40))
        said = msgspec.json.encode({**text, "cost_nano": cost_nano}).decode()
        await RedisLedger(connection).end(told(f"id{cost_nano}", State.PARTIAL, cost_nano, said=said))
    found = (await audit(connection)).differences
    assert found == [wrong("request id41 cost", 40, 41), wrong("request id41 charged", 40, 41)]
