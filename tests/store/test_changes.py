"""The record of changes: every change once, as it was and as it is, and never a digest."""

import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from extproc.core.change import By, Change
from extproc.core.identity import KeyRecord, KeyStatus
from extproc.core.ledger import bucket_of
from extproc.core.people import Member, Scope, TeamRecord
from extproc.errors import AlreadyThere, TollgateError
from extproc.store import keys
from extproc.store.changes import changes_between, changes_of_bucket
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.teams import RedisTeams
from extproc.store.tokens import RedisTokens, TokenRecord

BY = By("token:tok_1", 7)
KEY = KeyRecord("k1", "ada", "sk-abcdefg", "laptop", "pro")
TEAM = TeamRecord("ada", "red", "Red")
TOKEN = TokenRecord("tok_2", "tga-abcdef", "ci", (Scope.READ,), created_ms=7)


async def create(redis: Connection) -> None:
    """One of each."""
    await RedisKeyring(redis).create(KEY, "secret1", BY)
    await RedisTeams(redis).create(TEAM, BY)
    await RedisTokens(redis).create(TOKEN, "secret2", BY)


async def changes(redis: Connection) -> list[Change]:
    """All there are."""
    of_people = [change async for change in changes_of_bucket(redis, bucket_of("ada"))]
    return of_people + [change async for _, change in changes_between(redis, keys.CHANGES_OF_TOKENS)]


Act = Callable[[Connection], Awaitable[object]]

ACTS: dict[str, tuple[str, Act, dict[str, Any]]] = {
    "key.create": ("k2", lambda r: RedisKeyring(r).create(replace(KEY, key_id="k2"), "secret3", BY), {"key_id": "k2"}),
    "key.edit": (
        "k1",
        lambda r: RedisKeyring(r).edit("k1", lambda key: replace(key, name="phone"), "key.edit", BY),
        {"name": "phone"},
    ),
    "key.disable": ("k1", lambda r: RedisKeyring(r).disable("k1", BY), {"status": "disabled"}),
    "key.rotate": ("k1", lambda r: RedisKeyring(r).rotate("k1", "secret3", "sk-1", 9, BY), {"prefix": "sk-1"}),
    "key.delete": ("k1", lambda r: RedisKeyring(r).delete("k1", BY), {"status": "deleted"}),
    "owner.edit": (
        "ada",
        lambda r: RedisKeyring(r).edit_owner("ada", lambda one: replace(one, tier="pro"), BY),
        {"tier": "pro"},
    ),
    "team.create": ("blue", lambda r: RedisTeams(r).create(replace(TEAM, team="blue"), BY), {"team": "blue"}),
    "team.put_member": (
        "red",
        lambda r: RedisTeams(r).edit(
            "ada", "red", lambda team: replace(team, members={"bob": Member()}), "team.put_member", BY
        ),
        {"members": {"bob": {"role": "member", "quota_nano": -1}}},
    ),
    "team.delete": (
        "red",
        lambda r: RedisTeams(r).edit("ada", "red", lambda team: replace(team, deleted=True), "team.delete", BY),
        {"deleted": True},
    ),
    "token.create": (
        "tok_3",
        lambda r: RedisTokens(r).create(replace(TOKEN, token_id="tok_3"), "secret3", BY),
        {"token_id": "tok_3"},
    ),
    "token.revoke": ("tok_2", lambda r: RedisTokens(r).revoke("tok_2", BY), {"revoked": True}),
    "wallet.top_up": (
        "ada",
        lambda r: RedisLedger(r).top_up("ada", 5, "r", 7, who=BY.who),
        {"limit_nano": 5, "amount_nano": 5, "reference": "r"},
    ),
    "wallet.bonus": (
        "ada",
        lambda r: RedisLedger(r).bonus("ada", 2**53 - 1, "größer", "r", 7, who=BY.who),
        {"limit_nano": 2**53 - 1, "amount_nano": 2**53 - 1, "reference": "r", "reason": "größer"},
    ),
    "wallet.refund": (
        "ada",
        lambda r: RedisLedger(r).refund("ada", 5, 'a "reason"', "r", 7, "id", who=BY.who),
        {"limit_nano": 5, "amount_nano": 5, "reference": "r", "reason": 'a "reason"', "request_id": "id"},
    ),
    "wallet.adjustment": (
        "ada",
        lambda r: RedisLedger(r).adjust("ada", 5, "a reason", "r", 7, who=BY.who),
        {"limit_nano": 5, "amount_nano": 5, "reference": "r", "reason": "a reason"},
    ),
}
"""By what the log calls it: what is changed, how, and what is new in it."""


@pytest.mark.parametrize("what", ACTS)
async def test_a_change_is_told_once(connection: Connection, what: str) -> None:
    """Who, what, when, whose and of what; and doing the same again is no other change."""
    of, act, new = ACTS[what]
    await create(connection)
    known = await changes(connection)
    await act(connection)
    with contextlib.suppress(AlreadyThere):
        await act(connection)
    (change,) = [one for one in await changes(connection) if one not in known]
    owner = "" if what.startswith("token") else "ada"
    assert (change.at_ms, change.who, change.what, change.owner, change.of) == (7, BY.who, what, owner, of)
    before, after = json.loads(change.before or "{}"), json.loads(change.after)
    assert {name: after[name] for name in new} == new
    assert {name: before.get(name) for name in new} != new
    assert bool(change.before) == (not what.endswith("create") and what != "owner.edit")


@pytest.mark.parametrize("what", ACTS)
async def test_no_digest_is_told(connection: Connection, what: str) -> None:
    """Neither of a key nor of a token, however often it is changed."""
    await create(connection)
    await ACTS[what][1](connection)
    await RedisKeyring(connection).rotate("k1", "secret4", "sk-", 9, BY)
    await RedisKeyring(connection).disable("k1", BY)
    found = await changes(connection)
    assert len(found) >= 4
    assert not [one for one in found if "secret" in repr(one) or "digest" in repr(one)]


async def test_each_change_begins_where_the_last_ended(connection: Connection) -> None:
    """What a key was before a change is what it was after the one before."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "secret1", BY)
    await ring.edit("k1", lambda key: replace(key, cap_nano=5), "key.edit", By("ada", 8))
    await ring.disable("k1", By("bob", 9))
    await ring.edit("k1", lambda key: replace(key, status=KeyStatus.ACTIVE), "key.edit", By("eve", 10))
    await ring.rotate("k1", "secret2", "sk-", 0, BY)
    found = await changes(connection)
    assert found[0].before == ""
    assert [one.before for one in found[1:]] == [one.after for one in found[:-1]]
    assert [one.who for one in found] == ["token:tok_1", "ada", "bob", "eve", "token:tok_1"]


async def test_what_is_refused_is_no_change(connection: Connection) -> None:
    """A stale edit, a key or a team there is already, a wallet that would be too full: nothing is told of them."""
    await create(connection)
    await RedisLedger(connection).top_up("ada", 5, "r", 7, who=BY.who)
    known = await changes(connection)
    ring, teams, ledger = RedisKeyring(connection), RedisTeams(connection), RedisLedger(connection)
    refused: list[Awaitable[object]] = [
        ring.edit("k1", lambda key: replace(key, name="x"), "key.edit", BY, revision=2),
        ring.rotate("k1", "secret3", "sk-", 0, BY, revision=2),
        ring.delete("k1", BY, revision=2),
        ring.edit_owner("ada", lambda one: replace(one, tier="pro"), BY, revision=2),
        ring.create(replace(KEY, name="other"), "secret3", BY),
        teams.create(replace(TEAM, title="other"), BY),
        teams.edit("ada", "red", lambda team: replace(team, title="x"), "team.edit", BY, revision=2),
        RedisTokens(connection).create(replace(TOKEN, name="other"), "secret3", BY),
        ledger.bonus("ada", 1, "", "x", 7, who=BY.who),
    ]
    for each in refused:
        with pytest.raises(TollgateError):
            await each
    await ledger.bonus("ada", 2**53 - 1, "why", "x", 7, who=BY.who)
    await ledger.adjust("ada", -6, "why", "y", 7, who=BY.who)
    assert await ring.disable("k9", BY) is None
    assert await changes(connection) == known
