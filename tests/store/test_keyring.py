"""Keys in Redis: found by digest, disabled at once, and never half made."""

import asyncio
from dataclasses import replace

import pytest

from extproc.core.identity import Caller, KeyRecord, KeyStatus, OwnerRecord, OwnerStatus
from extproc.core.ledger import UNLIMITED, Account, AccountKind, Balance, Hold, Outcome
from extproc.errors import TollgateError
from extproc.store import keyring as keyring_module
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from tests.core.samples import caller_of

KEY = KeyRecord("k1", "ada", "sk-abcdefg", "laptop", "pro", ("basic", "free"), cap_nano=70, expires_ms=5)
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
    made = [replace(KEY, key_id=key_id, owner=owner) for owner, key_id in (("bob", "k3"), ("ada", "k2"), ("ada", "k1"))]
    for key in made:
        await ring.create(key, f"digest of {key.key_id}")
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
