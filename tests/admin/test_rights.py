"""Who may carry out which verb: every verb of the contract, for everyone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from extproc.admin.server import VERBS
from extproc.store.connection import Connection
from tests.admin.world import EVERYONE, OPERATOR, OWNER, REQUEST_ID, TEAM, World, made, request, status

ALL = set(EVERYONE)
OPERATORS = {"operator"}
SEERS = {"operator", "read"}
PAYERS = {"operator", "payer"}
OWNERS = {*PAYERS, "owner"}
ADMINS = {*OWNERS, "admin"}
TEAM_SEERS = {*SEERS, *ADMINS, "member", "viewer"}
USAGE_SEERS = TEAM_SEERS - {"member"}

Fields = Callable[[World], dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """What is asked for, and who may."""

    verb: str
    fields: Fields
    allowed: set[str]
    said: str = ""
    others: str = "PERMISSION_DENIED"
    """What those are told who may not."""


def of(key: str, **fields: Any) -> Fields:
    """Of the key that is for them."""
    return lambda world: {"key_id": world.keys[key], **fields}


def just(**fields: Any) -> Fields:
    """These."""
    return lambda _: fields


IN = {"owner": OWNER, "team": TEAM}

TABLE = [
    Row("WhoAmI", just(), ALL),
    Row("ListOwners", just(), ALL, "each what they see"),
    Row("GetOwner", just(owner=OWNER), {*SEERS, "payer"}),
    Row("EditOwner", just(owner=OWNER, tier="gold"), OPERATORS),
    Row("ListTeams", just(owner=OWNER), TEAM_SEERS),
    Row("ListTeams", just(), ALL, "one's own"),
    Row("CreateTeam", just(owner=OWNER, team="new"), PAYERS),
    Row("GetTeam", just(**IN), TEAM_SEERS),
    Row("EditTeam", just(**IN, title="Another"), OWNERS),
    Row("EditTeam", just(**IN, quota_nano=1), OWNERS),
    Row("DeleteTeam", just(**IN), OWNERS),
    Row("PutMember", just(**IN, member="new"), ADMINS),
    Row("PutMember", just(**IN, member="mia", quota_nano=1), ADMINS),
    Row("PutMember", just(**IN, member="mia", role="admin"), ADMINS),
    Row("PutMember", just(**IN, member="mia", role="owner"), OWNERS, "above an admin"),
    Row("PutMember", just(**IN, member="olga", role="viewer"), OWNERS, "who stands above an admin"),
    Row("PutMember", just(**IN, member=OWNER, role="viewer"), OWNERS, "who pays"),
    Row("RemoveMember", just(**IN, member="mia"), ADMINS),
    Row("RemoveMember", just(**IN, member="olga"), OWNERS),
    Row("ListKeys", just(), ALL, "each what they see"),
    Row("ListKeys", just(owner=OWNER), TEAM_SEERS),
    Row("CreateKey", just(owner=OWNER), PAYERS),
    Row("CreateKey", just(**IN), ADMINS),
    Row("CreateKey", just(**IN, member="mia"), {*ADMINS, "member"}),
    Row("CreateKey", just(**IN, member="vic"), ADMINS, "who may only look"),
    Row("GetKey", of("payer"), {*SEERS, "payer"}),
    Row("GetKey", of("team"), USAGE_SEERS),
    Row("GetKey", of("mia"), TEAM_SEERS),
    Row("GetKey", of("vic"), USAGE_SEERS),
    Row("EditKey", of("payer", name="x"), PAYERS),
    Row("EditKey", of("team", name="x"), ADMINS),
    Row("EditKey", of("mia", name="x"), {*ADMINS, "member"}),
    Row("EditKey", of("vic", name="x"), ADMINS),
    Row("RotateKey", of("payer"), PAYERS),
    Row("RotateKey", of("mia"), {*ADMINS, "member"}),
    Row("RotateKey", of("adam"), ADMINS),
    Row("DeleteKey", of("payer"), PAYERS),
    Row("DeleteKey", of("mia"), {*ADMINS, "member"}),
    Row("DeleteKey", of("vic"), ADMINS),
    Row("GetWallet", just(owner=OWNER), {*SEERS, *OWNERS}),
    Row("ListEntries", just(owner=OWNER), {*SEERS, *OWNERS}),
    Row("MakeEntry", just(owner=OWNER, kind="top_up", amount_nano=1, reference="r2"), OPERATORS),
    Row("ListRequests", just(), ALL, "each what they see"),
    Row("GetRequest", just(request_id=REQUEST_ID), TEAM_SEERS, "a list of one", "NOT_FOUND"),
    Row("FollowRequests", just(), ALL, "each what they see"),
    Row("ExportRequests", just(format="csv"), ALL, "each what they see"),
    Row("GetTotals", just(by="day"), ALL, "of what they see"),
    Row("ListChanges", just(), ALL, "each what they see"),
    Row("GetOpenApi", just(), ALL),
    Row("ListTokens", just(), SEERS),
    Row("CreateToken", just(scopes=["read"]), OPERATORS),
    Row("RevokeToken", lambda world: {"token_id": world.token}, OPERATORS),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.verb}-{row.said}")
async def test_who_may(connection: Connection, tmp_path: Path, row: Row) -> None:
    """Those of the table, and the others are told that they may not."""
    found = {}
    for name, principal in EVERYONE.items():
        await connection.execute("FLUSHALL")
        world = await made(connection, tmp_path)
        found[name] = await status(world, principal, row.verb, request(row.verb, **row.fields(world)))
    assert found == dict.fromkeys(ALL, row.others) | dict.fromkeys(row.allowed, "OK")


def test_every_verb_is_in_the_table() -> None:
    """One that is added to the contract must say who may."""
    assert {row.verb for row in TABLE} == set(VERBS)


NOT_THERE = [
    Row("GetTeam", just(owner=OWNER, team="none"), {*SEERS, "payer"}),
    Row("DeleteTeam", just(owner=OWNER, team="none"), {*SEERS, "payer"}),
    Row("RemoveMember", just(**IN, member="none"), ADMINS),
    Row("GetKey", just(key_id="key_none"), SEERS),
    Row("EditKey", just(key_id="key_none", name="x"), SEERS),
    Row("RotateKey", just(key_id="key_none"), SEERS),
    Row("DeleteKey", just(key_id="key_none"), SEERS),
    Row("RevokeToken", just(token_id="tok_none"), OPERATORS),
    Row("GetOwner", just(owner="none"), SEERS),
    Row("GetWallet", just(owner="none"), SEERS),
    Row("ListEntries", just(owner="none"), SEERS),
    Row("MakeEntry", just(owner="none", kind="top_up", amount_nano=1, reference="r"), OPERATORS),
]


@pytest.mark.parametrize("row", NOT_THERE, ids=lambda row: row.verb)
async def test_who_is_told_that_something_is_not_there(world: World, row: Row) -> None:
    """Those who would see it; the others are told what they are told of what is there."""
    asked = request(row.verb, **row.fields(world))
    found = {name: await status(world, principal, row.verb, asked) for name, principal in EVERYONE.items()}
    assert found == dict.fromkeys(ALL, "PERMISSION_DENIED") | dict.fromkeys(row.allowed, "NOT_FOUND")


UNSEEN = [
    ("GetTeam", {"owner": OWNER, "team": TEAM}, {"owner": OWNER, "team": "none"}),
    ("CreateKey", {"owner": OWNER, "team": TEAM}, {"owner": OWNER, "team": "none"}),
    ("PutMember", {"owner": OWNER, "team": TEAM, "member": "sam"}, {"owner": OWNER, "team": "none", "member": "sam"}),
    ("ListTeams", {"owner": OWNER}, {"owner": "none"}),
    ("ListKeys", {"owner": OWNER}, {"owner": "none"}),
    ("GetOwner", {"owner": OWNER}, {"owner": "none"}),
    ("GetWallet", {"owner": OWNER}, {"owner": "none"}),
    ("ListEntries", {"owner": OWNER}, {"owner": "none"}),
]


@pytest.mark.parametrize(("verb", "there", "not_there"), UNSEEN, ids=[row[0] for row in UNSEEN])
async def test_a_stranger_learns_nothing(
    world: World, verb: str, there: dict[str, str], not_there: dict[str, str]
) -> None:
    """They are told the same of what is there as of what is not, but for the name that they gave."""
    stranger = EVERYONE["stranger"]
    code, message = await world.refused(stranger, verb, **there)
    told = message.replace(TEAM, "…").replace(OWNER, "…")
    other = (await world.refused(stranger, verb, **not_there))[1].replace("none", "…").replace(OWNER, "…")
    assert (code, told) == ("PERMISSION_DENIED", other)


async def test_a_stranger_learns_nothing_of_keys(world: World) -> None:
    """Of somebody's key they are told the same as of none."""
    for verb in ("GetKey", "EditKey", "RotateKey", "DeleteKey"):
        key_id = world.keys["mia"]
        there = await world.refused(EVERYONE["stranger"], verb, key_id=key_id)
        other = await world.refused(EVERYONE["stranger"], verb, key_id="key_none")
        assert there == (other[0], other[1].replace("key_none", key_id))


SEEN = {
    "operator": {"payer", "team", "olga", "adam", "mia", "vic"},
    "read": {"payer", "team", "olga", "adam", "mia", "vic"},
    "payer": {"payer", "team", "olga", "adam", "mia", "vic"},
    "owner": {"team", "olga", "adam", "mia", "vic"},
    "admin": {"team", "olga", "adam", "mia", "vic"},
    "member": {"mia"},
    "viewer": {"team", "olga", "adam", "mia", "vic"},
    "stranger": set(),
    "nobody": set(),
}


async def test_what_is_in_the_lists(world: World) -> None:
    """Keys, owners and teams: of each just what one may see."""
    seen, owners, teams = {}, {}, {}
    for name, principal in EVERYONE.items():
        seen[name] = {key.name for key in (await world.does(principal, "ListKeys")).keys}
        owners[name] = {owner.owner for owner in (await world.does(principal, "ListOwners")).owners}
        teams[name] = {team.team for team in (await world.does(principal, "ListTeams")).teams}
    assert seen == SEEN
    assert {name for name, found in owners.items() if found == {OWNER}} == {*SEERS, "payer"}
    assert {name for name, found in teams.items() if found == {TEAM}} == {"owner", "admin", "member", "viewer"}


async def test_a_member_who_left_may_do_nothing(world: World) -> None:
    """From the next call on; their keys are disabled, and nobody can enable them."""
    mia = EVERYONE["member"]
    await world.does(OPERATOR, "RemoveMember", **IN, member="mia")
    assert (await world.does(mia, "ListKeys")).keys == []
    key = await world.does(OPERATOR, "GetKey", key_id=world.keys["mia"])
    assert key.status == "disabled"
    assert (await world.refused(mia, "GetKey", key_id=key.key_id))[0] == "PERMISSION_DENIED"
    assert (await world.refused(OPERATOR, "EditKey", key_id=key.key_id, status="active"))[0] == "INVALID_ARGUMENT"
