"""What cannot be: of each verb, which field is wrong and what it may be; and nothing is changed."""

from typing import Any

import pytest

from extproc.core.money import MAX_ACCOUNT_NANO
from tests.admin.world import NOW_MS, OPERATOR, OWNER, TEAM, World

MOST = f"{MAX_ACCOUNT_NANO} nano-USD"
LONG = "x" * 201
HUGE, LEAST = 2**63 - 1, -(2**63)

NEW_KEY = {"owner": OWNER}
KEY = {"key_id": "mia"}
IN = {"owner": OWNER, "team": TEAM}
MEMBER = {**IN, "member": "mia"}
TOP_UP = {"owner": OWNER, "kind": "top_up", "amount_nano": 1, "reference": "r2"}

TABLE: list[tuple[str, dict[str, Any], str]] = [
    ("ListOwners", {"page_size": -1}, "page_size is -1, and must be from 0 to 1000"),
    ("ListOwners", {"page_size": 1001}, "page_size is 1001, and must be from 0 to 1000"),
    ("ListOwners", {"cursor": "nonsense"}, "cursor is not the next_cursor of a page"),
    ("ListOwners", {"cursor": "ÿ" * 20}, "cursor is not the next_cursor of a page"),
    ("ListOwners", {"cursor": "WyJhIiwiYiJd"}, "cursor is not the next_cursor of a page"),
    ("ListKeys", {"cursor": "WyJhIl0"}, "cursor is not the next_cursor of a page"),
    ("ListKeys", {"cursor": "WyJhIiwgImIiXQ"}, "cursor is not the next_cursor of a page"),
    ("ListEntries", {"owner": OWNER, "cursor": "WyJhIl0"}, "cursor is not the next_cursor of a page"),
    ("EditOwner", {"owner": "", "status": "suspended"}, "the owner '' has no name"),
    ("EditOwner", {"owner": " acme", "status": "suspended"}, "without blanks around them"),
    ("EditOwner", {"owner": LONG, "status": "suspended"}, "200 characters at most"),
    ("EditOwner", {"owner": "a\0b", "status": "suspended"}, "all must be printable"),
    ("EditOwner", {"owner": OWNER, "tier": "none"}, "there is no tier 'none'; there are: default, gold"),
    ("EditOwner", {"owner": OWNER, "discount_ppm": 0}, "discount_ppm is 0, and must be from 1 to 1000000"),
    ("EditOwner", {"owner": OWNER, "discount_ppm": 1_000_001}, "must be from 1 to 1000000"),
    ("EditOwner", {"owner": OWNER, "status": "gone"}, "status is one of active, suspended"),
    ("CreateTeam", {"owner": OWNER}, "the team '' needs 1 to 200 characters"),
    ("CreateTeam", {"owner": OWNER, "team": "a/b"}, "none of them / or :"),
    ("CreateTeam", {"owner": OWNER, "team": "a\nb"}, "all must be printable"),
    ("CreateTeam", {"owner": OWNER, "team": LONG}, "200 characters at most"),
    ("CreateTeam", {"owner": OWNER, "team": "b", "title": LONG}, "title takes at most 200 printable characters"),
    ("CreateTeam", {"owner": OWNER, "team": "b", "quota_nano": -2}, f"must be from -1 to {MOST}"),
    ("CreateTeam", {"owner": OWNER, "team": "b", "quota_nano": MAX_ACCOUNT_NANO + 1}, f"must be from -1 to {MOST}"),
    ("EditTeam", {**IN, "quota_nano": LEAST}, f"must be from -1 to {MOST}"),
    ("PutMember", {**IN, "member": ""}, "the member '' needs 1 to 200 characters"),
    ("PutMember", {**IN, "member": "a/b"}, "none of them / or :"),
    ("PutMember", {**MEMBER, "role": "king"}, "role is one of owner, admin, member, viewer"),
    ("PutMember", {**MEMBER, "quota_nano": -5}, f"must be from -1 to {MOST}"),
    ("CreateKey", {"owner": ""}, "the owner '' has no name"),
    ("CreateKey", {**NEW_KEY, "member": "mia"}, "member needs a team"),
    ("CreateKey", {**IN, "member": "sam"}, "there is no member 'sam' in the team 'core' of 'acme'"),
    ("CreateKey", {**NEW_KEY, "name": "a\0"}, "name takes at most 200 printable characters"),
    ("CreateKey", {**NEW_KEY, "group": "none"}, "group: there is no group 'none'; there are: default, premium, spare"),
    ("CreateKey", {**NEW_KEY, "group": "premium"}, "the tier default, whose keys may not have the group premium"),
    ("CreateKey", {**NEW_KEY, "fallback_groups": ["premium"]}, "fallback_groups: acme has the tier default"),
    ("CreateKey", {**NEW_KEY, "fallback_groups": ["spare", "spare"]}, "none twice"),
    ("CreateKey", {**NEW_KEY, "cap_nano": -1}, f"must be from 0 to {MOST}"),
    ("CreateKey", {**NEW_KEY, "cap_nano": HUGE}, f"must be from 0 to {MOST}"),
    ("CreateKey", {**NEW_KEY, "month_limit_nano": MAX_ACCOUNT_NANO + 1}, f"must be from 0 to {MOST}"),
    ("CreateKey", {**NEW_KEY, "concurrency": -1}, "concurrency is -1, and must be from 1 to 2147483647"),
    ("CreateKey", {**NEW_KEY, "requests_per_minute": -2}, "must be from -1 to 1000000000000"),
    ("CreateKey", {**NEW_KEY, "tokens_per_minute": HUGE}, "must be from -1 to 1000000000000"),
    ("CreateKey", {**NEW_KEY, "expires_ms": NOW_MS}, f"expires_ms is {NOW_MS}, which is not after now"),
    ("CreateKey", {**NEW_KEY, "expires_ms": HUGE}, "must be from 0 to 253402300799999"),
    ("CreateKey", {**NEW_KEY, "allowed_ips": ["10.0.0.1/8"]}, "'10.0.0.1/8' is no network such as 10.0.0.0/8"),
    ("CreateKey", {**NEW_KEY, "allowed_ips": ["fe80::1%eth0"]}, "is no network"),
    ("CreateKey", {**NEW_KEY, "allowed_ips": [""]}, "none empty"),
    ("CreateKey", {**NEW_KEY, "allowed_ips": ["here"]}, "'here' is no network"),
    ("CreateKey", {**NEW_KEY, "allowed_models": [""]}, "none empty"),
    ("CreateKey", {**NEW_KEY, "allowed_models": ["gpt*5"]}, "has a * before its end"),
    ("CreateKey", {**NEW_KEY, "allowed_models": [str(n) for n in range(101)]}, "at most 100 words"),
    ("EditKey", {**KEY, "cap_nano": -1}, f"must be from 0 to {MOST}"),
    ("EditKey", {**KEY, "concurrency": 0}, "concurrency is 0, and must be from 1"),
    ("EditKey", {**KEY, "group": ""}, "there is no group ''"),
    ("EditKey", {**KEY, "group": "premium"}, "whose keys may not have the group premium"),
    ("EditKey", {**KEY, "status": "deleted"}, "status is one of active, disabled"),
    ("EditKey", {**KEY, "expires_ms": -1}, "must be from 0 to 253402300799999"),
    ("RotateKey", {**KEY, "overlap_seconds": -1}, "overlap_seconds is -1, and must be from 0 to 2592000"),
    ("RotateKey", {**KEY, "overlap_seconds": 2_592_001}, "must be from 0 to 2592000"),
    ("MakeEntry", {**TOP_UP, "kind": "gift"}, "kind is one of top_up, bonus, refund, adjustment"),
    ("MakeEntry", {**TOP_UP, "amount_nano": 0}, f"must be from 1 to {MOST}"),
    ("MakeEntry", {**TOP_UP, "amount_nano": -1}, f"must be from 1 to {MOST}"),
    ("MakeEntry", {**TOP_UP, "amount_nano": HUGE}, f"must be from 1 to {MOST}"),
    ("MakeEntry", {**TOP_UP, "amount_nano": MAX_ACCOUNT_NANO}, f"a wallet takes {MOST} in all"),
    ("MakeEntry", {**TOP_UP, "reference": ""}, "needs a reference"),
    ("MakeEntry", {**TOP_UP, "reason": "because"}, "a top-up has a reference, and no reason"),
    ("MakeEntry", {**TOP_UP, "request_id": "x"}, "the request that a refund is for"),
    ("MakeEntry", {**TOP_UP, "kind": "bonus"}, "the bonus needs a reason"),
    ("MakeEntry", {**TOP_UP, "kind": "refund"}, "the refund needs a reason"),
    ("MakeEntry", {**TOP_UP, "kind": "adjustment"}, "the adjustment needs a reason"),
    ("MakeEntry", {**TOP_UP, "kind": "adjustment", "amount_nano": 0, "reason": "x"}, "must not be 0"),
    ("MakeEntry", {**TOP_UP, "kind": "adjustment", "amount_nano": LEAST, "reason": "x"}, f"to {MOST}"),
    (
        "MakeEntry",
        {**TOP_UP, "kind": "adjustment", "amount_nano": -10_000_000_001, "reason": "x"},
        "10000000000 nano-USD were put in in all",
    ),
    ("CreateToken", {}, "scopes are needed: some of operator, read, person"),
    ("CreateToken", {"scopes": ["root"]}, "a scope is one of operator, read, person"),
    ("CreateToken", {"scopes": ["person"]}, "person is needed for the scope person, and for no other"),
    ("CreateToken", {"scopes": ["read"], "person": "mia"}, "person is needed for the scope person, and for no other"),
    ("CreateToken", {"scopes": ["read"], "name": LONG}, "name takes at most 200 printable characters"),
    ("CreateToken", {"scopes": ["read"], "expires_ms": 1}, "which is not after now"),
]


@pytest.mark.parametrize(("verb", "fields", "said"), TABLE, ids=lambda value: value if isinstance(value, str) else "")
async def test_bad_input(world: World, verb: str, fields: dict[str, Any], said: str) -> None:
    """It is told what is wrong, and nothing is changed."""
    before = await world.changes()
    asked = {**fields, "key_id": world.keys[fields["key_id"]]} if "key_id" in fields else fields
    code, message = await world.refused(OPERATOR, verb, **asked)
    assert code == "INVALID_ARGUMENT"
    assert said in message
    assert await world.changes() == before


ODD = ["\0", "a\0b", "x" * 100_000, "..", "{b1}", "*", "'; --", "\u202e", "é", "%2F", "\n"]


@pytest.mark.parametrize("name", ODD, ids=[repr(name[:10]) for name in ODD])
async def test_names_that_nobody_has(world: World, name: str) -> None:
    """Whatever the name, there is no such thing; and it is told in a sentence that fits into a header."""
    for verb, fields in [
        ("GetOwner", {"owner": name}),
        ("GetTeam", {"owner": OWNER, "team": name}),
        ("GetTeam", {"owner": name, "team": name}),
        ("RemoveMember", {**IN, "member": name}),
        ("GetKey", {"key_id": name}),
        ("GetWallet", {"owner": name}),
        ("RevokeToken", {"token_id": name}),
    ]:
        code, message = await world.refused(OPERATOR, verb, **fields)
        assert code == "NOT_FOUND"
        assert len(message) <= 500
    assert (await world.does(OPERATOR, "ListKeys", owner=name)).keys == []
    assert (await world.does(OPERATOR, "ListTeams", owner=name)).teams == []
