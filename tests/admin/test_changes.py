"""The record of changes: every verb that changes something leaves exactly one entry, and none has a secret."""

import json
from typing import Any

import pytest

from extproc.admin.server import VERBS
from extproc.core.change import Change
from extproc.core.identity import digest
from extproc.store import keys
from extproc.store.changes import changes_between
from tests.admin.world import NOW_MS, OPERATOR, OWNER, PEPPER, TEAM, World, request

IN = {"owner": OWNER, "team": TEAM}

SEEING = {name for name in VERBS if name.startswith(("Get", "List", "Follow", "Export", "WhoAmI"))}

TABLE: list[tuple[str, dict[str, Any], str, str, dict[str, Any], dict[str, Any]]] = [
    ("EditOwner", {"owner": OWNER, "status": "suspended"}, "owner.edit", OWNER, {}, {"status": "suspended"}),
    ("CreateTeam", {"owner": OWNER, "team": "new"}, "team.create", "new", {}, {"team": "new"}),
    ("EditTeam", {**IN, "title": "x"}, "team.edit", TEAM, {"title": "The core"}, {"title": "x"}),
    ("DeleteTeam", {"owner": OWNER, "team": "idle"}, "team.delete", "idle", {"deleted": False}, {"deleted": True}),
    ("PutMember", {**IN, "member": "sam"}, "team.put_member", TEAM, {"revision": 5}, {"revision": 6}),
    ("RemoveMember", {**IN, "member": "idle"}, "team.remove_member", TEAM, {"revision": 6}, {"revision": 7}),
    ("CreateKey", {"owner": OWNER, "name": "new"}, "key.create", "", {}, {"name": "new", "status": "active"}),
    ("EditKey", {"key_id": "mia", "cap_nano": 7}, "key.edit", "mia", {"cap_nano": 0}, {"cap_nano": 7}),
    ("RotateKey", {"key_id": "mia"}, "key.rotate", "mia", {"revision": 1}, {"revision": 2}),
    ("DeleteKey", {"key_id": "mia"}, "key.delete", "mia", {"status": "active"}, {"status": "deleted"}),
    (
        "MakeEntry",
        {"owner": OWNER, "kind": "bonus", "amount_nano": 5, "reference": "b1", "reason": "kind"},
        "wallet.bonus",
        OWNER,
        {"limit_nano": 10_000_000_000},
        {"limit_nano": 10_000_000_005, "amount_nano": 5, "reference": "b1", "reason": "kind"},
    ),
    ("CreateToken", {"scopes": ["read"], "name": "x"}, "token.create", "", {}, {"name": "x", "scopes": ["read"]}),
    ("RevokeToken", {"token_id": "ci"}, "token.revoke", "ci", {"revoked": False}, {"revoked": True}),
]


async def recorded(world: World) -> list[Change]:
    """All changes of the owner, then those of tokens."""
    tokens = [change async for _, change in changes_between(world.connection, keys.CHANGES_OF_TOKENS)]
    return [*await world.changes(), *tokens]


@pytest.mark.parametrize(("verb", "fields", "what", "of", "before", "after"), TABLE, ids=[row[0] for row in TABLE])
async def test_a_change_leaves_one_entry(
    world: World, verb: str, fields: dict[str, Any], what: str, of: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """It says who did what and when, to what, as it was before and as it is."""
    await world.does(OPERATOR, "CreateTeam", owner=OWNER, team="idle")
    if verb == "RemoveMember":
        await world.does(OPERATOR, "PutMember", **IN, member="idle")
    ids = {**world.keys, "ci": world.token}
    known = await recorded(world)
    world.clock.now_ms += 1
    answer = await world.does(
        OPERATOR,
        verb,
        **{name: ids.get(value, value) if name.endswith("_id") else value for name, value in fields.items()},
    )
    new = [change for change in await recorded(world) if change not in known]
    assert len(new) == 1
    (change,) = new
    made = answer.key.key_id if verb == "CreateKey" else answer.token.token_id if verb == "CreateToken" else ""
    assert (change.who, change.what, change.at_ms, change.of) == (
        OPERATOR.name,
        what,
        NOW_MS + 1,
        made or ids.get(of, of),
    )
    assert change.owner == ("" if "Token" in verb else OWNER)
    assert read(change.before).items() >= before.items()
    assert read(change.after).items() >= after.items()
    assert bool(change.before) == (verb not in {"CreateTeam", "CreateKey", "CreateToken", "EditOwner"})


def read(said: str) -> dict[str, Any]:
    """What an entry says; nothing where there was nothing."""
    found: dict[str, Any] = json.loads(said) if said else {}
    return found


def test_every_verb_that_changes_something_is_in_the_table() -> None:
    """One that is added to the contract must leave an entry."""
    assert {row[0] for row in TABLE} == set(VERBS) - SEEING


async def test_disabled_keys_are_changes_too(world: World) -> None:
    """Each key of a member who is removed has its own entry, made before the member goes."""
    known = await recorded(world)
    await world.does(OPERATOR, "RemoveMember", **IN, member="mia")
    new = [(change.what, change.of) for change in await recorded(world) if change not in known]
    assert new == [("key.disable", world.keys["mia"]), ("team.remove_member", TEAM)]


async def test_no_entry_has_a_secret(world: World) -> None:
    """No plaintext or digest of a key or a token is in the record of changes, or in any answer but its own."""
    made = await world.does(OPERATOR, "CreateKey", owner=OWNER)
    rotated = await world.does(OPERATOR, "RotateKey", key_id=made.key.key_id, overlap_seconds=60)
    token = await world.does(OPERATOR, "CreateToken", scopes=["read"])
    await world.does(OPERATOR, "RevokeToken", token_id=token.token.token_id)
    await world.does(OPERATOR, "DeleteKey", key_id=made.key.key_id)
    plaintexts = [made.plaintext, rotated.plaintext, token.plaintext]
    secrets = [*plaintexts, *(digest(PEPPER, plaintext) for plaintext in plaintexts)]
    said = "\n".join(map(str, await recorded(world)))
    for verb in ("ListKeys", "ListTokens", "ListOwners"):
        said += str(await world.calls(OPERATOR, verb, request(verb)))
    said += str(await world.does(OPERATOR, "GetKey", key_id=made.key.key_id))
    assert [secret for secret in secrets if secret in said] == []


async def test_what_is_refused_is_no_change(world: World) -> None:
    """Neither for want of a role, nor of sense."""
    known = await recorded(world)
    for fields in ({"cap_nano": -1}, {"revision": 9, "name": "x"}, {"group": "premium"}):
        await world.refused(OPERATOR, "EditKey", key_id=world.keys["mia"], **fields)
    assert await recorded(world) == known
