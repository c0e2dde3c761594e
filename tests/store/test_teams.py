"""Teams in Redis: their quotas are limits the moment they are said, and nothing is lost."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from extproc.core.identity import KeyRecord
from extproc.core.ledger import UNLIMITED, Account, AccountKind, Balance, Hold, Outcome
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.core.people import Member, Role, TeamRecord
from extproc.errors import AlreadyThere, BadValue, LedgerUnavailable, Stale
from extproc.store.audit import audit
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.teams import RedisTeams
from tests.store.cluster import Cluster
from tests.store.faults import Dying
from tests.store.redis_server import RedisServer

TEAM = TeamRecord("ada", "red", "Red", 100, {"bob": Member(Role.ADMIN, 30), "eve": Member()})
KEY = KeyRecord("k1", "ada", "sk-", "", "g", team="red", member="bob")
DUE_MS = 4_000_000_000_000


async def limits(connection: Connection, *members: str) -> list[int]:
    """What the team may spend, and each of these members."""
    accounts = [Account(AccountKind.TEAM, "ada/red")]
    accounts += [Account(AccountKind.MEMBER, f"ada/red/{member}") for member in members]
    return [(await RedisLedger(connection).balance("ada", account)).limit_nano for account in accounts]


async def hold(connection: Connection, hold_id: str, amount_nano: int) -> Outcome:
    """A request of bob's."""
    asked = Hold(hold_id, "ada", "k1", 1, KEY.accounts("2026-11"), amount_nano, 0, DUE_MS, "{}")
    return (await RedisLedger(connection).hold(asked)).outcome


async def test_a_team_is_found_as_it_was_made(connection: Connection) -> None:
    """By its owner and name, among its owner's, and by its members; its owner is one now."""
    teams = RedisTeams(connection)
    assert await teams.create(TEAM) == TEAM
    await teams.create(TeamRecord("ada", "blue"))
    assert await teams.get("ada", "red") == TEAM
    assert await teams.list("ada") == [TeamRecord("ada", "blue"), TEAM]
    assert await teams.of_person("bob") == [TEAM]
    assert await teams.of_person("ada") == []
    assert await teams.get("ada", "green") is None
    assert await teams.get("bob", "red") is None
    assert await RedisKeyring(connection).owners() == ["ada"]


async def test_quotas_are_limits_at_once(connection: Connection) -> None:
    """Of the team and of each member, none for those who have none; the wallet is opened, and kept."""
    await RedisLedger(connection).top_up("ada", 500, "a", 0)
    await RedisTeams(connection).create(TEAM)
    assert await limits(connection, "bob", "eve", "mallory") == [100, 30, UNLIMITED, 0]
    assert await RedisLedger(connection).balance("ada", Account(AccountKind.WALLET, "ada")) == Balance(500)
    await RedisTeams(connection).edit("ada", "red", lambda team: replace(team, quota_nano=UNLIMITED), "team.edit")
    assert await limits(connection, "bob", "eve") == [UNLIMITED, 30, UNLIMITED]


async def test_a_key_of_a_team_leaves_its_quotas_alone(connection: Connection) -> None:
    """Whether it is made before the team or after it."""
    ring, teams = RedisKeyring(connection), RedisTeams(connection)
    await ring.create(KEY, "digest")
    assert await limits(connection, "bob") == [UNLIMITED, UNLIMITED]
    await teams.create(TEAM)
    await ring.create(replace(KEY, key_id="k2"), "other")
    assert await limits(connection, "bob") == [100, 30]


async def test_who_leaves_may_spend_nothing_more(connection: Connection) -> None:
    """From the next request on; what is held and used stays, and counts again when they come back."""
    ring, teams, ledger = RedisKeyring(connection), RedisTeams(connection), RedisLedger(connection)
    await ring.create(KEY, "digest")
    await ledger.top_up("ada", 500, "a", 0)
    await teams.create(TEAM)
    assert await hold(connection, "h1", 25) is Outcome.HELD
    assert await hold(connection, "h2", 10) is Outcome.MEMBER_QUOTA
    await teams.edit("ada", "red", lambda team: replace(team, members={"eve": Member()}), "team.remove_member")
    assert await hold(connection, "h3", 1) is Outcome.MEMBER_QUOTA
    assert await teams.of_person("bob") == []
    bob = Account(AccountKind.MEMBER, "ada/red/bob")
    assert await ledger.balance("ada", bob) == Balance(0, 25)
    back = await teams.edit("ada", "red", lambda team: replace(team, members=TEAM.members), "team.put_member")
    assert await teams.of_person("bob") == [back]
    assert await hold(connection, "h4", 5) is Outcome.HELD
    assert (await audit(connection)).differences == []


async def test_a_deleted_team_is_none_and_spends_nothing(connection: Connection) -> None:
    """Nothing finds or changes it any more, until there is one of its name, which goes on with what it used."""
    ring, teams = RedisKeyring(connection), RedisTeams(connection)
    await ring.create(KEY, "digest")
    await RedisLedger(connection).top_up("ada", 500, "a", 0)
    await teams.create(TEAM)
    assert await hold(connection, "h1", 20) is Outcome.HELD
    deleted = await teams.edit("ada", "red", lambda team: replace(team, deleted=True), "team.delete")
    assert deleted == replace(TEAM, deleted=True, revision=2)
    assert await limits(connection, "bob", "eve") == [0, 0, 0]
    assert await hold(connection, "h2", 1) is Outcome.MEMBER_QUOTA
    assert await teams.get("ada", "red") is None
    assert await teams.list("ada") == await teams.of_person("bob") == []
    assert await teams.all_of("ada") == [deleted]
    assert await teams.edit("ada", "red", lambda team: replace(team, deleted=False), "team.edit") is None
    assert (await teams.create(TEAM)).revision == 3
    assert await limits(connection, "bob", "eve") == [100, 30, UNLIMITED]
    assert await hold(connection, "h3", 11) is Outcome.MEMBER_QUOTA
    assert await hold(connection, "h4", 10) is Outcome.HELD
    assert (await audit(connection)).differences == []


async def test_a_team_that_is_there_is_not_made_again(connection: Connection) -> None:
    """Of many who make one of the same name one does, and the others change nothing."""
    teams = RedisTeams(connection)
    made = await asyncio.gather(
        *(teams.create(replace(TEAM, title=str(n), quota_nano=n)) for n in range(8)), return_exceptions=True
    )
    (record,) = [one for one in made if isinstance(one, TeamRecord)]
    assert [one for one in made if one is not record and not isinstance(one, AlreadyThere)] == []
    assert await teams.get("ada", "red") == record
    assert await limits(connection) == [record.quota_nano]
    with pytest.raises(AlreadyThere, match="ada has a team red already"):
        await teams.create(record)


async def test_edits_at_once_lose_nothing(connection: Connection) -> None:
    """Many add a member each, while others change title and quota: all of it is there in the end."""
    teams = RedisTeams(connection)
    await teams.create(TeamRecord("ada", "red"))

    def with_member(name: str) -> Callable[[TeamRecord], TeamRecord]:
        return lambda team: replace(team, members={**team.members, name: Member(quota_nano=int(name[1:]))})

    names = [f"m{number}" for number in range(12)]
    edits = [
        *(teams.edit("ada", "red", with_member(name), "team.put_member") for name in names),
        teams.edit("ada", "red", lambda team: replace(team, title="Red"), "team.edit"),
        teams.edit("ada", "red", lambda team: replace(team, quota_nano=50), "team.edit"),
    ]
    await asyncio.gather(*edits)
    record = await teams.get("ada", "red")
    assert record is not None
    assert (record.title, record.quota_nano, record.revision) == ("Red", 50, 15)
    assert sorted(record.members) == sorted(names)
    assert await limits(connection, *names) == [50, *range(12)]
    assert await teams.of_person("m7") == [record]


async def test_a_stale_edit_changes_nothing(connection: Connection) -> None:
    """Who says which revision they saw is told when there is another, and an unknown team is none."""
    teams = RedisTeams(connection)
    await teams.create(TEAM)
    edited = await teams.edit("ada", "red", lambda team: replace(team, quota_nano=5), "team.edit", revision=1)
    with pytest.raises(Stale, match="revision 2 and not 1"):
        await teams.edit("ada", "red", lambda team: replace(team, quota_nano=9), "team.edit", revision=1)
    assert await teams.get("ada", "red") == edited
    assert await limits(connection) == [5]
    assert await teams.edit("ada", "green", lambda team: team, "team.edit") is None


BAD: list[dict[str, Any]] = [
    {"team": ""},
    {"team": "a/b"},
    {"team": "a:b"},
    {"team": " a"},
    {"team": "x" * 201},
    {"owner": ""},
    {"owner": "a\nb"},
    {"title": "\x00"},
    {"quota_nano": -2},
    {"quota_nano": MAX_ACCOUNT_NANO + 1},
    {"members": {"a/b": Member()}},
    {"members": {"": Member()}},
    {"members": {"bob": Member(quota_nano=-2)}},
    {"members": {"bob": Member(quota_nano=MAX_ACCOUNT_NANO + 1)}},
]


@pytest.mark.parametrize("bad", BAD)
async def test_what_cannot_be_is_refused(connection: Connection, bad: dict[str, Any]) -> None:
    """Names that would be two names, and quotas that no account could count, when it is made and later."""
    teams = RedisTeams(connection)
    with pytest.raises(BadValue):
        await teams.create(replace(TEAM, **bad))
    assert await teams.list("ada") == []
    if not {"owner", "team"} & bad.keys():
        await teams.create(TEAM)
        with pytest.raises(BadValue):
            await teams.edit("ada", "red", lambda team: replace(team, **bad), "team.edit")
        assert await teams.get("ada", "red") == TEAM


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("lives", range(6))
async def test_a_team_is_never_half_made(
    connection: Connection, server: RedisServer | Cluster, lives: int, done: bool
) -> None:
    """Wherever making it breaks off, it is there with all its limits and members, or not at all."""
    teams, dying = RedisTeams(connection), Dying(server.url, lives, done)
    try:
        await RedisTeams(dying).create(TEAM)
    except LedgerUnavailable:
        assert lives < 5
    made = await teams.get("ada", "red")
    assert made in (None, TEAM)
    assert await limits(connection, "bob", "eve") == ([100, 30, UNLIMITED] if made else [0, 0, 0])
    assert await teams.of_person("eve") == ([TEAM] if made else [])
    if made is None:
        await teams.create(TEAM)
    assert await teams.of_person("bob") == [TEAM]
    assert await RedisKeyring(connection).owners() == ["ada"]
    await dying.aclose()


async def test_who_leaves_and_comes_back_at_once_is_found(connection: Connection) -> None:
    """However two edits of the same membership fall together, who is in the team finds it."""
    teams = RedisTeams(connection)
    await teams.create(TEAM)
    for _ in range(10):
        await asyncio.gather(
            teams.edit("ada", "red", lambda team: replace(team, members={}), "team.remove_member"),
            teams.edit("ada", "red", lambda team: replace(team, members=TEAM.members), "team.put_member"),
        )
        record = await teams.get("ada", "red")
        assert record is not None
        assert await teams.of_person("bob") == ([record] if "bob" in record.members else [])
