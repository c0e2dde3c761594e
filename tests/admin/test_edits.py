"""Edits: what is not named stays, a stale one changes nothing, and of concurrent ones none is lost."""

import asyncio
from datetime import UTC
from typing import Any

import pytest

from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.server import VERBS
from extproc.core import identity
from extproc.core.ledger import Account, AccountKind, End, State
from tests.admin.world import NOW_MS, OPERATOR, OWNER, PEPPER, TEAM, World

IN = {"owner": OWNER, "team": TEAM}

TERMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"name": "x"}, {"name": "x"}),
    ({"group": "spare"}, {"group": "spare"}),
    ({"fallback_groups": pb.Names(names=["spare"])}, {"fallback_groups": ["spare"]}),
    ({"cap_nano": 5}, {"cap_nano": 5}),
    ({"month_limit_nano": 6}, {"month_limit_nano": 6}),
    ({"concurrency": 7}, {"concurrency": 7}),
    ({"requests_per_minute": 0}, {"requests_per_minute": 0}),
    ({"tokens_per_minute": 9}, {"tokens_per_minute": 9}),
    ({"expires_ms": NOW_MS + 1}, {"expires_ms": NOW_MS + 1}),
    ({"allowed_ips": pb.Names(names=["10.0.0.0/255.0.0.0", "::1"])}, {"allowed_ips": ["10.0.0.0/8", "::1/128"]}),
    ({"allowed_models": pb.Names(names=["gpt-5*"])}, {"allowed_models": ["gpt-5*"]}),
    ({"status": "disabled"}, {"status": "disabled"}),
]


def shown(message: Any) -> dict[str, Any]:
    """The fields of a key that a caller sees, and which of the optional ones are there."""
    fields = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    listed = {name: list(value) if hasattr(value, "append") else value for name, value in fields.items()}
    return listed | {f"has {name}": message.HasField(name) for name in ("requests_per_minute", "tokens_per_minute")}


@pytest.mark.parametrize(("said", "expected"), TERMS, ids=lambda value: "-".join(value))
async def test_what_is_not_named_stays(world: World, said: dict[str, Any], expected: dict[str, Any]) -> None:
    """Of a key every term can be changed alone, and the revision grows by one."""
    key_id = world.keys["mia"]
    before = shown(await world.does(OPERATOR, "GetKey", key_id=key_id))
    edited = shown(await world.does(OPERATOR, "EditKey", key_id=key_id, **said))
    has = {f"has {name}": True for name in expected if f"has {name}" in before}
    assert edited == {**before, **expected, **has, "revision": before["revision"] + 1}
    assert shown(await world.does(OPERATOR, "GetKey", key_id=key_id)) == edited


async def test_every_term_can_be_changed() -> None:
    """The table above has every field of the request."""
    fields = {field.name for field in pb.EditKeyRequest.DESCRIPTOR.fields}
    assert {name for said, _ in TERMS for name in said} == fields - {"key_id", "revision"}


async def test_a_new_key_has_the_terms_it_was_given(world: World) -> None:
    """All of them at once; what a key costs nothing to leave out has its default."""
    terms = {
        "name": "x",
        "group": "spare",
        "cap_nano": 1,
        "month_limit_nano": 2,
        "concurrency": 3,
        "expires_ms": NOW_MS + 1,
    }
    terms |= {"requests_per_minute": 4, "tokens_per_minute": 5, "fallback_groups": ["default"]}
    terms |= {"allowed_ips": ["10.0.0.0/8"], "allowed_models": ["gpt-5"]}
    made = await world.does(OPERATOR, "CreateKey", **IN, member="mia", **terms)
    assert shown(made.key).items() >= {**terms, **IN, "member": "mia", "status": "active", "revision": 1}.items()
    plain = (await world.does(OPERATOR, "CreateKey", owner=OWNER)).key
    assert (plain.group, plain.concurrency, plain.expires_ms) == ("default", 100, 0)
    assert not plain.HasField("requests_per_minute")


async def test_limits_go_back_to_the_group_s(world: World) -> None:
    """With -1 they are not there any more."""
    key_id = world.keys["mia"]
    await world.does(OPERATOR, "EditKey", key_id=key_id, requests_per_minute=5, tokens_per_minute=0)
    key = await world.does(OPERATOR, "EditKey", key_id=key_id, requests_per_minute=-1)
    assert (key.HasField("requests_per_minute"), key.HasField("tokens_per_minute")) == (False, True)


async def test_a_member_s_role_and_quota_are_changed_apart(world: World) -> None:
    """Each leaves the other as it is; somebody new is a member without a quota."""
    await world.does(OPERATOR, "PutMember", **IN, member="new")
    await world.does(OPERATOR, "PutMember", **IN, member="new", quota_nano=5)
    team = await world.does(OPERATOR, "PutMember", **IN, member="new", role="viewer")
    (new,) = [member for member in team.members if member.member == "new"]
    assert (new.role, new.quota_nano) == ("viewer", 5)


def changing(world: World) -> list[tuple[str, dict[str, Any]]]:
    """Every verb that takes a revision, with a change that it makes of what is there."""
    key = {"key_id": world.keys["mia"]}
    return [
        ("EditOwner", {"owner": OWNER, "tier": "gold"}),
        ("EditTeam", {**IN, "title": "x"}),
        ("PutMember", {**IN, "member": "mia", "quota_nano": 1}),
        ("RemoveMember", {**IN, "member": "vic"}),
        ("EditKey", {**key, "name": "x"}),
        ("RotateKey", key),
        ("DeleteKey", key),
        ("DeleteTeam", IN),
    ]


async def test_a_stale_edit_changes_nothing(world: World) -> None:
    """With a revision that is not there any more, or never was, each is told so; with the one that is, it is made."""
    taking = {name for name, verb in VERBS.items() if "revision" in verb.input_type.fields_by_name}
    assert {verb for verb, _ in changing(world)} == taking
    for verb, fields in changing(world):
        before = await world.changes()
        keys = [await world.does(OPERATOR, "GetKey", key_id=key_id) for key_id in world.keys.values()]
        revision = await _revision(world, verb, fields)
        for stale in (revision + 1, revision - 1, -(2**63)):
            code, message = await world.refused(OPERATOR, verb, **fields, revision=stale)
            assert (code, verb) == ("ABORTED", verb)
            assert f"has the revision {revision} and not {stale}" in message
        assert await world.changes() == before
        assert keys == [await world.does(OPERATOR, "GetKey", key_id=key_id) for key_id in world.keys.values()]
        await world.does(OPERATOR, verb, **fields, revision=revision)
        assert len(await world.changes()) > len(before)


async def _revision(world: World, verb: str, fields: dict[str, Any]) -> int:
    get = {"Owner": ("GetOwner", ("owner",)), "Key": ("GetKey", ("key_id",))}
    what, names = next((one for kind, one in get.items() if verb.endswith(kind)), ("GetTeam", ("owner", "team")))
    revision: int = (await world.does(OPERATOR, what, **{name: fields[name] for name in names})).revision
    return revision


async def test_an_edit_that_changes_nothing_is_none(world: World) -> None:
    """The same words again leave the revision, and the record of changes, as they were."""
    for verb, fields in changing(world)[:3] + changing(world)[4:5]:
        first = await world.does(OPERATOR, verb, **fields)
        before = await world.changes()
        assert await world.does(OPERATOR, verb, **fields) == first
        assert await world.changes() == before


async def test_concurrent_edits_lose_nothing(world: World) -> None:
    """Of edits of different fields at the same moment all are there in the end, each with a revision of its own."""
    key_id = world.keys["mia"]
    edited = await asyncio.gather(*(world.does(OPERATOR, "EditKey", key_id=key_id, **said) for said, _ in TERMS))
    key = shown(await world.does(OPERATOR, "GetKey", key_id=key_id))
    for _, expected in TERMS:
        assert key.items() >= expected.items()
    assert len({one.revision for one in edited}) == len(TERMS)


async def test_members_who_are_added_at_the_same_moment(world: World) -> None:
    """All are in the team."""
    names = [f"new-{number}" for number in range(20)]
    await asyncio.gather(*(world.does(OPERATOR, "PutMember", **IN, member=name) for name in names))
    team = await world.does(OPERATOR, "GetTeam", **IN)
    assert {member.member for member in team.members} >= set(names)


async def test_one_of_many_who_saw_the_same_revision(world: World) -> None:
    """Of edits that name one revision exactly one is made."""
    fields = {"key_id": world.keys["mia"], "revision": 1}
    edits = [world.does(OPERATOR, "EditKey", **fields, name=f"n{number}") for number in range(10)]
    results = await asyncio.gather(*edits, return_exceptions=True)
    assert sum(isinstance(result, pb.Key) for result in results) == 1


async def test_one_team_of_a_name(world: World) -> None:
    """A second one is ALREADY_EXISTS, also at the same moment; after it was deleted there can be one again."""
    making = [world.does(OPERATOR, "CreateTeam", owner=OWNER, team="new", title=str(number)) for number in range(10)]
    made = await asyncio.gather(*making, return_exceptions=True)
    assert sum(isinstance(result, pb.Team) for result in made) == 1
    assert (await world.refused(OPERATOR, "CreateTeam", owner=OWNER, team="new"))[0] == "ALREADY_EXISTS"
    await world.does(OPERATOR, "DeleteTeam", owner=OWNER, team="new")
    assert (await world.does(OPERATOR, "CreateTeam", owner=OWNER, team="new")).members == []


async def test_a_deleted_team(world: World) -> None:
    """It is there no more, its keys are disabled, and nothing else is."""
    await world.does(OPERATOR, "DeleteTeam", **IN)
    assert (await world.refused(OPERATOR, "GetTeam", **IN))[0] == "NOT_FOUND"
    keys = (await world.does(OPERATOR, "ListKeys")).keys
    assert {key.name: key.status for key in keys if key.team} == dict.fromkeys(
        world.keys.keys() - {"payer"}, "disabled"
    )
    assert {key.status for key in keys if not key.team} == {"active"}


async def test_a_rotated_key(world: World) -> None:
    """It has another prefix and the same terms; the plaintext opens it, and the one before for as long as was said."""
    made = await world.does(OPERATOR, "CreateKey", owner=OWNER, name="x", cap_nano=5)
    rotated = await world.does(OPERATOR, "RotateKey", key_id=made.key.key_id, overlap_seconds=60)
    assert rotated.plaintext.startswith(rotated.key.prefix)
    assert rotated.key.prefix != made.key.prefix
    assert rotated.key.overlap_until_ms == NOW_MS + 60_000
    assert (rotated.key.name, rotated.key.cap_nano) == ("x", 5)
    world.clock.now_ms += 60_000
    assert (await world.does(OPERATOR, "GetKey", key_id=made.key.key_id)).overlap_until_ms == 0
    found = await world.parts.keyring.find_fresh(identity.digest(PEPPER, rotated.plaintext))
    assert found is not None
    assert found.key.key_id == made.key.key_id


async def test_a_deleted_key(world: World) -> None:
    """It can be looked at, and nothing else; it is in no list."""
    key_id = world.keys["mia"]
    assert (await world.does(OPERATOR, "DeleteKey", key_id=key_id)).status == "deleted"
    assert (await world.does(OPERATOR, "GetKey", key_id=key_id)).status == "deleted"
    assert key_id not in {key.key_id for key in (await world.does(OPERATOR, "ListKeys")).keys}
    for verb, fields in [("EditKey", {"status": "active"}), ("RotateKey", {}), ("DeleteKey", {})]:
        assert (await world.refused(OPERATOR, verb, key_id=key_id, **fields))[0] == "NOT_FOUND"


async def test_an_entry_is_made_once(world: World) -> None:
    """A reference that was used before gets the entry that was made with it, whatever it asks for now."""
    asked = {"owner": OWNER, "kind": "top_up", "amount_nano": 5, "reference": "again"}
    first = await world.does(OPERATOR, "MakeEntry", **asked)
    world.clock.now_ms += 1000
    again = await world.does(OPERATOR, "MakeEntry", **{**asked, "amount_nano": 7})
    assert (first.repeated, again.repeated, again.entry) == (False, True, first.entry)
    many = await asyncio.gather(*(world.does(OPERATOR, "MakeEntry", **{**asked, "reference": "r9"}) for _ in range(10)))
    assert sorted(one.repeated for one in many) == [False] + [True] * 9
    assert len({str(one.entry) for one in many}) == 1


async def test_a_statement(world: World) -> None:
    """Every entry of every kind, newest first, page by page; the wallet is their sum."""
    kinds = [("bonus", 3), ("refund", 4), ("adjustment", -5), ("adjustment", 6)]
    for number, (kind, nano) in enumerate(kinds):
        fields = {"kind": kind, "amount_nano": nano, "reference": f"e{number}", "reason": "because"}
        fields |= {"request_id": "abc"} if kind == "refund" else {}
        await world.does(OPERATOR, "MakeEntry", owner=OWNER, **fields)
    pages: list[Any] = []
    cursor = ""
    while cursor or not pages:
        page = await world.does(OPERATOR, "ListEntries", owner=OWNER, page_size=2, cursor=cursor)
        pages.append(page.entries)
        cursor = page.next_cursor
    entries = [entry for page in pages for entry in page]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [(entry.kind, entry.amount_nano) for entry in entries[:4]] == kinds[::-1]
    assert [entry.request_id for entry in entries if entry.kind == "refund"] == ["abc"]
    wallet = await world.does(OPERATOR, "GetWallet", owner=OWNER)
    assert wallet.limit_nano == wallet.available_nano == sum(entry.amount_nano for entry in entries)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
async def test_keys_page_by_page(world: World, size: int) -> None:
    """All of all owners, none twice, in whatever pages."""
    await world.does(OPERATOR, "CreateKey", owner="zoe")
    everything = [key.key_id for key in (await world.does(OPERATOR, "ListKeys")).keys]
    found, cursor, more = [], "", True
    while more:
        page = await world.does(OPERATOR, "ListKeys", page_size=size, cursor=cursor)
        assert len(page.keys) <= size
        found += [key.key_id for key in page.keys]
        cursor, more = page.next_cursor, bool(page.next_cursor)
    assert found == everything
    assert len(found) == len(world.keys) + 1


async def test_owners_page_by_page(world: World) -> None:
    """By name; whoever has a tier, a key or a team is one."""
    await world.does(OPERATOR, "EditOwner", owner="bob", tier="gold")
    await world.does(OPERATOR, "CreateTeam", owner="carl", team="x")
    first = await world.does(OPERATOR, "ListOwners", page_size=2)
    second = await world.does(OPERATOR, "ListOwners", page_size=2, cursor=first.next_cursor)
    assert [[owner.owner for owner in page.owners] for page in (first, second)] == [[OWNER, "bob"], ["carl"]]
    assert second.next_cursor == ""
    assert (await world.does(OPERATOR, "ListOwners", page_size=3)).next_cursor == ""


async def test_a_tier_allows_a_group(world: World) -> None:
    """What the default tier may not have, another may."""
    await world.does(OPERATOR, "EditOwner", owner=OWNER, tier="gold")
    key = await world.does(OPERATOR, "EditKey", key_id=world.keys["mia"], group="premium")
    assert key.group == "premium"


async def test_a_key_tells_what_it_used_in_all_and_of_that_in_this_month(world: World) -> None:
    """What it used in another month is not among the second."""
    key_id = world.keys["mia"]
    for month, cost_nano in ((identity.month_of(NOW_MS, UTC), 7), ("2001-01", 5)):
        accounts = (Account(AccountKind.KEY, key_id), Account(AccountKind.KEY_MONTH, f"{key_id}/{month}"))
        end = End(f"r-{month}", OWNER, accounts, State.REPORTED, cost_nano, NOW_MS, NOW_MS, "test")
        await world.parts.ledger.end(end)
    key = await world.does(OPERATOR, "GetKey", key_id=key_id)
    assert (key.used_nano, key.month_used_nano) == (12, 7)
