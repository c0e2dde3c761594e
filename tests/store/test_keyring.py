"""Keys in Redis: found by digest, disabled at once, and never half made."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from extproc.core.identity import Caller, KeyRecord, KeyStatus, OwnerRecord, OwnerStatus
from extproc.core.ledger import UNLIMITED, Account, AccountKind, Balance, Hold, Outcome, bucket_of
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.errors import AlreadyThere, BadValue, Stale, TollgateError
from extproc.store import keyring as keyring_module
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from tests.core.samples import caller_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KEY = KeyRecord(
    "k1", "ada", "sk-abcdefg", "laptop", "pro", ("basic", "free"), cap_nano=70, expires_ms=5, digest="digest"
)
CALLER = caller_of(KEY)


def hold_with(caller: Caller, hold_id: str) -> Hold:
    """A free hold by someone who knows the key and its owner like this."""
    key, accounts = caller.key, caller.key.accounts("2026-11")
    revision = caller.owner.revision
    return Hold(hold_id, key.owner, key.key_id, key.revision, accounts, 0, 0, 4_000_000_000_000, "", revision)


async def test_a_key_is_found_as_it_was_made(connection: Connection) -> None:
    """Everything that is kept of a key comes back, from the cache and from Redis."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "digest")
    assert await ring.find("digest") == await ring.find("digest") == await ring.find_fresh("digest") == CALLER
    assert await RedisKeyring(connection).find("digest") == CALLER


@pytest.mark.parametrize(("cap_nano", "limit_nano"), [(70, 70), (0, UNLIMITED)])
async def test_a_new_key_opens_its_account_and_a_wallet(connection: Connection, cap_nano: int, limit_nano: int) -> None:
    """The account has the key's cap, and no limit where there is no cap; a new owner's wallet is empty."""
    ledger = RedisLedger(connection)
    await RedisKeyring(connection).create(replace(KEY, cap_nano=cap_nano), "digest")
    assert await ledger.balance("ada", Account(AccountKind.KEY, "k1")) == Balance(limit_nano)
    assert await ledger.balance("ada", Account(AccountKind.WALLET, "ada")) == Balance(0)


async def test_another_key_leaves_the_wallet_as_it_is(connection: Connection) -> None:
    """An owner who has money keeps it when given one more key."""
    await RedisLedger(connection).top_up("ada", 100, "a", 0)
    await RedisKeyring(connection).create(KEY, "digest")
    assert await RedisLedger(connection).balance("ada", Account(AccountKind.WALLET, "ada")) == Balance(100)


async def test_an_unknown_key_is_not_remembered(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is used before it is made works as soon as it is, and invented keys drive no real one out."""
    ring = RedisKeyring(connection)
    assert await ring.find("digest") is None
    await RedisKeyring(connection).create(KEY, "digest")
    assert await ring.find("digest") == CALLER
    monkeypatch.setattr(keyring_module, "CACHED_KEYS", 2)
    for number in range(5):
        assert await ring.find(f"invented {number}") is None
    await connection.execute_everywhere("FLUSHDB")
    assert await ring.find("digest") == CALLER


async def test_a_disabled_key_is_refused_by_the_next_hold(connection: Connection) -> None:
    """A worker that still has the key in its cache is told by the ledger, and by a fresh look."""
    here, elsewhere, ledger = RedisKeyring(connection), RedisKeyring(connection), RedisLedger(connection)
    await here.create(KEY, "digest")
    cached = await elsewhere.find("digest")
    assert cached is not None
    assert (await ledger.hold(hold_with(cached, "h1"))).outcome is Outcome.HELD
    disabled = await here.disable("k1")
    assert disabled == replace(KEY, status=KeyStatus.DISABLED, revision=2)
    assert (await ledger.hold(hold_with(cached, "h2"))).outcome is Outcome.KEY_DISABLED
    assert await elsewhere.find("digest") == CALLER
    assert await elsewhere.find_fresh("digest") == await elsewhere.find("digest") == caller_of(disabled)


async def test_what_is_said_of_an_owner_holds_from_the_next_hold_on(connection: Connection) -> None:
    """Tier, discount and standing come with every key of the owner; a worker that has them as they were is told."""
    here, elsewhere, ledger = RedisKeyring(connection), RedisKeyring(connection), RedisLedger(connection)
    await here.create(KEY, "digest")
    cached = await elsewhere.find("digest")
    assert cached == caller_of(KEY)
    said = OwnerRecord("ada", "pro", 900_000, OwnerStatus.SUSPENDED, revision=1)
    assert await here.put_owner(said, replaces=0)
    assert await here.owner("ada") == said
    assert (await ledger.hold(hold_with(cached, "h1"))).outcome is Outcome.KEY_STALE
    fresh = await elsewhere.find_fresh("digest")
    assert fresh == Caller(KEY, said)
    assert (await ledger.hold(hold_with(fresh, "h1"))).outcome is Outcome.HELD


async def test_what_is_said_of_an_owner_meanwhile_is_not_lost(connection: Connection) -> None:
    """Of two who change the same revision one is told; saying the same again is no change."""
    ring = RedisKeyring(connection)
    first = OwnerRecord("ada", "pro", revision=1)
    assert await ring.put_owner(first, replaces=0)
    assert await ring.put_owner(first, replaces=0)
    assert not await ring.put_owner(OwnerRecord("ada", "staff", revision=1), replaces=0)
    assert await ring.owner("ada") == first
    assert await ring.owner("bob") == OwnerRecord("bob")


async def test_disabling_twice_or_an_unknown_key_changes_nothing(connection: Connection) -> None:
    """Disabling may be repeated; of an unknown key it tells that there is none."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "digest")
    first = await ring.disable("k1")
    assert await ring.disable("k1") == first
    assert await ring.disable("k2") is None


async def test_an_edit_made_meanwhile_is_not_lost(connection: Connection) -> None:
    """Who edits what is not there any more is told, and changes neither the key nor its cap."""
    ring, ledger = RedisKeyring(connection), RedisLedger(connection)
    await ring.create(KEY, "digest")
    assert await ring.put(replace(KEY, cap_nano=80, revision=2), replaces=1)
    assert not await ring.put(replace(KEY, cap_nano=90, revision=2), replaces=1)
    assert await ring.find_fresh("digest") == caller_of(replace(KEY, cap_nano=80, revision=2))
    assert (await ledger.balance("ada", Account(AccountKind.KEY, "k1"))).limit_nano == 80


async def test_disabling_wins_over_edits_made_meanwhile(connection: Connection) -> None:
    """Five operators disabling and editing at once leave the key disabled, with every stored edit counted."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "digest")
    edits = asyncio.gather(*(ring.put(replace(KEY, name=f"n{n}", revision=2), replaces=1) for n in range(5)))
    disabled, stored = await asyncio.gather(ring.disable("k1"), edits)
    now = await ring.find_fresh("digest")
    assert now is not None
    assert now.key == disabled
    assert now.key.status is KeyStatus.DISABLED
    assert now.key.revision == 2 + sum(stored)


async def test_a_key_made_twice_is_one_key(connection: Connection) -> None:
    """Making may be repeated until it succeeds; another key with the same id is refused and changes nothing."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "digest")
    await ring.create(KEY, "digest")
    with pytest.raises(TollgateError, match="there is a key k1 already"):
        await ring.create(replace(KEY, owner="ada", name="other"), "other")
    assert await ring.list() == [KEY]
    assert await ring.find("other") is None


async def test_a_half_made_key_does_not_authenticate(connection: Connection) -> None:
    """The look-up by digest is written last, and nobody gets in without; making the key again completes it."""
    ring = RedisKeyring(connection)
    await ring.put(KEY, replaces=0)
    assert await ring.find("digest") is None
    await ring.create(KEY, "digest")
    assert await ring.find("digest") == CALLER


async def test_a_look_up_that_leads_nowhere_is_no_key(connection: Connection) -> None:
    """A digest whose record is gone does not authenticate, and is forgotten by a fresh look."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "digest")
    assert await ring.find("digest") == CALLER
    await connection.execute_everywhere("FLUSHDB")
    assert await ring.find_fresh("digest") is None
    assert await ring.find("digest") is None


async def test_keys_are_listed_by_owner_and_id(connection: Connection) -> None:
    """All keys, or those of one owner; an owner without keys has none."""
    ring = RedisKeyring(connection)
    names = (("bob", "k3"), ("ada", "k2"), ("ada", "k1"))
    made = [replace(KEY, key_id=key_id, owner=owner, digest=f"digest of {key_id}") for owner, key_id in names]
    for key in made:
        await ring.create(key, key.digest)
    assert await ring.list() == [made[2], made[1], made[0]]
    assert await ring.list("bob") == [made[0]]
    assert await ring.list("eve") == []


async def test_the_cache_is_bounded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key not used for longest is dropped first, and is then read again."""
    monkeypatch.setattr(keyring_module, "CACHED_KEYS", 2)
    writer, ring = RedisKeyring(connection), RedisKeyring(connection)
    for key_id in ("a", "b", "c"):
        await writer.create(replace(KEY, key_id=key_id), key_id)
    for digest in ("a", "b", "a", "c"):
        await ring.find(digest)
    for key_id in ("a", "b", "c"):
        await writer.disable(key_id)
    found = {digest: await ring.find(digest) for digest in ("a", "c", "b")}
    active = [digest for digest, caller in found.items() if caller and caller.key.status is KeyStatus.ACTIVE]
    assert active == ["a", "c"]


async def test_edits_at_once_lose_nothing(connection: Connection) -> None:
    """Many change a field each, and some the same one by what it was: all of it is there in the end."""
    ring, ledger = RedisKeyring(connection), RedisLedger(connection)
    await ring.create(KEY, "digest")
    changes: list[Callable[[KeyRecord], KeyRecord]] = [
        lambda key: replace(key, name="phone"),
        lambda key: replace(key, group="free"),
        lambda key: replace(key, fallback_groups=()),
        lambda key: replace(key, month_limit_nano=9),
        lambda key: replace(key, max_live=3),
        lambda key: replace(key, allowed_ips=("10.0.0.0/8",)),
        lambda key: replace(key, allowed_models=("gpt-5*",)),
        *([lambda key: replace(key, cap_nano=key.cap_nano + 1)] * 5),
    ]
    rings = [ring, RedisKeyring(connection)]
    await asyncio.gather(*(rings[n % 2].edit("k1", change) for n, change in enumerate(changes)))
    expected = KEY
    for change in changes:
        expected = change(expected)
    assert await ring.get("k1") == replace(expected, revision=1 + len(changes))
    assert (await ledger.balance("ada", Account(AccountKind.KEY, "k1"))).limit_nano == 75


async def test_a_stale_edit_changes_nothing(connection: Connection) -> None:
    """Who says which revision they saw is told when there is another one, whatever they want to do."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "digest")
    edited = await ring.edit("k1", lambda key: replace(key, cap_nano=80), revision=1)
    assert edited == replace(KEY, cap_nano=80, revision=2)
    stale: list[Awaitable[object]] = [
        ring.edit("k1", lambda key: replace(key, cap_nano=90), revision=1),
        ring.rotate("k1", "other", "sk-", revision=3),
        ring.delete("k1", revision=1),
        ring.edit_owner("ada", lambda owner: replace(owner, tier="pro"), revision=1),
    ]
    for each in stale:
        with pytest.raises(Stale, match="nothing was changed"):
            await each
    assert await ring.get("k1") == edited
    assert await ring.find_fresh("digest") == caller_of(edited)
    assert await connection.execute("EXISTS", keys.by_digest("other")) == 0


async def test_an_edit_that_changes_nothing_is_none(connection: Connection) -> None:
    """The revision stays, so that no worker has to ask again; and there is nothing to edit where there is no key."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "digest")
    assert await ring.edit("k1", lambda key: replace(key, cap_nano=70)) == KEY
    assert await ring.edit("k9", lambda key: replace(key, cap_nano=70)) is None
    assert await ring.get("k9") is None


async def test_a_deleted_key_is_dead_and_remembered(connection: Connection) -> None:
    """It opens nothing, is not listed and cannot be changed any more; what it spent, and that it was, is kept."""
    here, elsewhere, ledger = RedisKeyring(connection), RedisKeyring(connection), RedisLedger(connection)
    await here.create(KEY, "digest")
    cached = await elsewhere.find("digest")
    assert cached is not None
    assert (await ledger.hold(hold_with(cached, "h1"))).outcome is Outcome.HELD
    deleted = await here.delete("k1")
    assert deleted == replace(KEY, status=KeyStatus.DELETED, revision=2)
    assert (await ledger.hold(hold_with(cached, "h2"))).outcome is Outcome.KEY_DISABLED
    assert await elsewhere.find_fresh("digest") is await elsewhere.find("digest") is None
    assert await here.delete("k1") == await here.get("k1") == deleted
    assert await here.list() == await here.list("ada") == []
    assert await here.all_of("ada") == [deleted]
    assert await here.edit("k1", lambda key: replace(key, status=KeyStatus.ACTIVE)) is None
    assert await here.disable("k1") is None
    assert await here.rotate("k1", "other", "sk-") is None
    with pytest.raises(AlreadyThere):
        await here.create(KEY, "digest")
    for digest in ("digest", "other"):
        assert await elsewhere.find_fresh(digest) is None
    assert await here.get("k1") == deleted
    assert (await ledger.balance("ada", Account(AccountKind.KEY, "k1"))).limit_nano == 70


async def test_an_id_is_one_owners(connection: Connection) -> None:
    """Nobody is given a key with the id of somebody else's, which stays theirs."""
    ring = RedisKeyring(connection)
    await ring.create(KEY, "digest")
    with pytest.raises(AlreadyThere, match="there is a key k1 already"):
        await ring.create(replace(KEY, owner="bob"), "other")
    assert await ring.get("k1") == KEY
    assert await ring.find("other") is None
    assert await ring.list("bob") == []


async def test_owners_are_edited_and_listed(connection: Connection) -> None:
    """Whoever has a key or of whom something is said is an owner with a wallet; edits at once all count."""
    ring, ledger = RedisKeyring(connection), RedisLedger(connection)
    await ring.create(KEY, "digest")
    edits = [
        ring.edit_owner("bob", lambda owner: replace(owner, tier="pro")),
        ring.edit_owner("bob", lambda owner: replace(owner, status=OwnerStatus.SUSPENDED)),
        *(ring.edit_owner("bob", lambda one: replace(one, discount_ppm=one.discount_ppm - 1)) for _ in range(5)),
    ]
    await asyncio.gather(*edits)
    expected = OwnerRecord("bob", "pro", 999_995, OwnerStatus.SUSPENDED, revision=7)
    assert await ring.owner("bob") == expected
    assert await ring.edit_owner("bob", lambda owner: owner, revision=7) == expected
    assert await ring.edit_owner("eve", lambda owner: owner) == OwnerRecord("eve")
    assert await ring.owners() == ["ada", "bob"]
    assert await connection.execute("HGETALL", keys.account(bucket_of("bob"), Account(AccountKind.WALLET, "bob")))
    assert await ledger.balance("bob", Account(AccountKind.WALLET, "bob")) == Balance(0)


BAD: list[dict[str, Any]] = [
    {"owner": ""},
    {"owner": " ada"},
    {"owner": "a\nda"},
    {"team": "a/b"},
    {"team": "red", "member": "a:b"},
    {"name": "x" * 201},
    {"name": "\x1b[31m"},
    {"cap_nano": -1},
    {"cap_nano": MAX_ACCOUNT_NANO + 1},
    {"month_limit_nano": -1},
    {"month_limit_nano": MAX_ACCOUNT_NANO + 1},
]


@pytest.mark.parametrize("bad", BAD)
async def test_what_cannot_be_is_refused(connection: Connection, bad: dict[str, Any]) -> None:
    """Names that no account could have, and limits that none could count, when a key is made and later."""
    ring = RedisKeyring(connection)
    with pytest.raises(BadValue):
        await ring.create(replace(KEY, **bad), "digest")
    assert await ring.owners() == []
    assert await ring.find("digest") is None
    if not {"owner", "team"} & bad.keys():
        await ring.create(KEY, "digest")
        with pytest.raises(BadValue):
            await ring.edit("k1", lambda key: replace(key, **bad))
        assert await ring.get("k1") == KEY


async def test_owners_have_the_names_they_had(connection: Connection) -> None:
    """An address, a path, another script: only teams and members may have no slash and no colon."""
    ring = RedisKeyring(connection)
    names = ["ada@example.test", "acme/research", "auth0|7f", "urn:x:1", "Ада"]
    for number, owner in enumerate(names):
        key = replace(KEY, key_id=f"k{number}", owner=owner, team="red", member="bob", digest=f"d{number}")
        await ring.create(key, key.digest)
        assert await ring.find(key.digest) == caller_of(key)
    assert await ring.owners() == sorted(names)
