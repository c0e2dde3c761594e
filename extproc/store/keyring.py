"""The keys in Redis: looked up by digest on every request, made and changed by whoever may.

    tg:digest:<hmac> → owner and key id → the record, in the owner's slot

Look-ups are no one's proof: a record says itself which digests open it. So they are written before the one script that
makes a change, and taken away after it, and a crash in between leaves nothing but a look-up that opens nothing.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

from extproc.core.change import By
from extproc.core.checks import check_name, check_nano, check_owner, check_text
from extproc.core.identity import Caller, KeyRecord, KeyStatus, OwnerRecord, opens
from extproc.core.ledger import UNLIMITED, Account, AccountKind, bucket_of
from extproc.errors import AlreadyThere
from extproc.store import keys, records
from extproc.store.connection import Connection
from extproc.store.records import UNNAMED, Limit, Place

CACHED_KEYS = 10_000
"""Keys a worker remembers, the least recently used being dropped first. A key nobody made is never remembered."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class RedisKeyring:
    """A `Keyring` over one connection, and what is done to keys and owners. Every method raises `LedgerUnavailable`.

    Those that change something raise `BadValue` for a name or an amount that cannot be, and those that are told a
    `revision` raise `Stale` when another one is there.
    """

    def __init__(self, redis: Connection, now_ms: Callable[[], int] = _now_ms) -> None:
        self._redis = redis
        self._now_ms = now_ms
        self._cache: OrderedDict[str, Caller] = OrderedDict()

    async def find(self, digest: str) -> Caller | None:
        """Who has the key with this digest, perhaps as it was a while ago; a hold tells."""
        cached = self._cache.get(digest)
        if cached is None or not opens(cached.key, digest, self._now_ms()):
            return await self.find_fresh(digest)
        self._cache.move_to_end(digest)
        return cached

    async def find_fresh(self, digest: str) -> Caller | None:
        """The same as it is now."""
        owner, key_id = await self._redis.execute("HMGET", keys.by_digest(digest), "owner", "key_id")
        caller = None
        if owner and key_id:
            key, of = await asyncio.gather(self._read(owner, key_id), self.owner(owner))
            caller = Caller(key, of) if key and opens(key, digest, self._now_ms()) else None
        self._remember(digest, caller)
        return caller

    async def get(self, key_id: str) -> KeyRecord | None:
        """A key as it is now, also one that was deleted."""
        owner = await self._redis.execute("GET", keys.owner_of(key_id))
        return await self._read(owner, key_id) if owner else None

    async def list(self, owner: str | None = None) -> Sequence[KeyRecord]:
        """The keys of one owner or of all, by owner and id, but not those that were deleted."""
        owners = [owner] if owner is not None else await self.owners()
        found = [record for name in owners for record in await self.all_of(name)]
        return [record for record in found if record.status is not KeyStatus.DELETED]

    async def all_of(self, owner: str) -> Sequence[KeyRecord]:
        """Every key that an owner ever had, by id."""
        key_ids = sorted(await self._redis.execute("SMEMBERS", keys.keys_of(bucket_of(owner), owner)))
        return [record for record in await asyncio.gather(*(self._read(owner, one) for one in key_ids)) if record]

    async def create(self, record: KeyRecord, digest: str, by: By = UNNAMED) -> KeyRecord:
        """Store a new key that this digest opens, with its account and its owner's wallet.

        May be repeated until it succeeds. Raises `AlreadyThere` when there is another key with this id.
        """
        record = replace(record, digest=digest)
        _check_new(record)
        await self._redis.execute("SADD", keys.OWNERS, record.owner)
        await self._redis.execute("SET", keys.owner_of(record.key_id), record.owner, "NX")
        owner = await self._redis.execute("GET", keys.owner_of(record.key_id))
        await self._look_up(digest, record)
        if owner != record.owner or not await self.put(record, 0, "key.create", by):
            raise AlreadyThere(f"there is a key {record.key_id} already; nothing was changed")
        return record

    async def edit(
        self,
        key_id: str,
        change: Callable[[KeyRecord], KeyRecord],
        what: str = "key.edit",
        by: By = UNNAMED,
        revision: int | None = None,
    ) -> KeyRecord | None:
        """Change a key as it is now, from its next request on; the key as it is then, None when there is none."""

        async def put(before: KeyRecord, after: KeyRecord) -> bool:
            _check(before, after)
            return await self.put(after, before.revision, what, by)

        return await records.edit(lambda: self._living(key_id), change, put, revision)

    async def disable(self, key_id: str, by: By = UNNAMED) -> KeyRecord | None:
        """Refuse a key from its next request on; the key as it is now, None when there is none."""
        return await self.edit(key_id, lambda key: replace(key, status=KeyStatus.DISABLED), "key.disable", by)

    async def rotate(
        self,
        key_id: str,
        digest: str,
        prefix: str,
        overlap_until_ms: int = 0,
        by: By = UNNAMED,
        revision: int | None = None,
    ) -> KeyRecord | None:
        """Let another digest open a key, and the one before until `overlap_until_ms`, 0 for no longer; None for no key.

        One before that counts no longer in any case. May be repeated until it succeeds.
        """
        before = await self._living(key_id)
        if before is None:
            return None
        rotated: KeyRecord | None = before
        if before.digest != digest:
            records.require(before, revision)
            await self._look_up(digest, before)
            rotated = await self.edit(
                key_id, lambda key: _rotated(key, digest, prefix, overlap_until_ms), "key.rotate", by, revision
            )
        if rotated:
            valid = {rotated.digest, rotated.old_digest if rotated.overlap_until_ms else ""}
            await self._forget({before.digest, before.old_digest, rotated.old_digest} - valid)
        return rotated

    async def delete(self, key_id: str, by: By = UNNAMED, revision: int | None = None) -> KeyRecord | None:
        """Refuse a key from its next request on, for good; what it spent stays. May be repeated until it succeeds."""
        await self.edit(key_id, lambda key: replace(key, status=KeyStatus.DELETED), "key.delete", by, revision)
        record = await self.get(key_id)
        if record:
            await self._forget({record.digest, record.old_digest})
        return record

    async def put(self, record: KeyRecord, replaces: int, what: str = "key.edit", by: By = UNNAMED) -> bool:
        """Store a record in place of the revision it `replaces` (0: there is none); False when that is not there."""
        bucket = bucket_of(record.owner)
        cap = keys.account(bucket, Account(AccountKind.KEY, record.key_id))
        wallet = keys.account(bucket, Account(AccountKind.WALLET, record.owner))
        limits = [
            Limit(cap, record.cap_nano or UNLIMITED),
            Limit(wallet, 0, set=False),
            *(Limit(keys.account(bucket, quota), UNLIMITED, set=False) for quota in record.quotas),
        ]
        place = Place(
            keys.key(bucket, record.key_id),
            keys.keys_of(bucket, record.owner),
            keys.changes(bucket),
            record.owner,
            record.key_id,
        )
        return await records.put(self._redis, place, record, replaces, what, by, record.status, limits)

    async def owners(self) -> Sequence[str]:
        """Everyone who ever had a key, a team or a tier, by name."""
        return sorted(await self._redis.execute("SMEMBERS", keys.OWNERS))

    async def owner(self, owner: str) -> OwnerRecord:
        """What is said of an owner, as it is now."""
        record = await records.read(self._redis, keys.owner(bucket_of(owner), owner), OwnerRecord)
        return record or OwnerRecord(owner)

    async def edit_owner(
        self,
        owner: str,
        change: Callable[[OwnerRecord], OwnerRecord],
        by: By = UNNAMED,
        revision: int | None = None,
    ) -> OwnerRecord:
        """Change what is said of an owner, who need not be there yet, from the next request on."""
        check_owner(owner)
        changed = await records.edit(
            lambda: self.owner(owner),
            change,
            lambda before, after: self.put_owner(after, before.revision, by),
            revision,
        )
        return changed or OwnerRecord(owner)

    async def put_owner(self, record: OwnerRecord, replaces: int, by: By = UNNAMED) -> bool:
        """Store what is said of an owner in place of the revision it `replaces`; False when that is not there."""
        bucket = bucket_of(record.owner)
        place = Place(
            keys.owner(bucket, record.owner), keys.owners(bucket), keys.changes(bucket), record.owner, record.owner
        )
        wallet = Limit(keys.account(bucket, Account(AccountKind.WALLET, record.owner)), 0, set=False)
        await self._redis.execute("SADD", keys.OWNERS, record.owner)
        return await records.put(self._redis, place, record, replaces, "owner.edit", by, record.status, [wallet])

    async def _read(self, owner: str, key_id: str) -> KeyRecord | None:
        return await records.read(self._redis, keys.key(bucket_of(owner), key_id), KeyRecord)

    async def _living(self, key_id: str) -> KeyRecord | None:
        record = await self.get(key_id)
        return None if record is None or record.status is KeyStatus.DELETED else record

    async def _look_up(self, digest: str, record: KeyRecord) -> None:
        await self._redis.execute("HSET", keys.by_digest(digest), "owner", record.owner, "key_id", record.key_id)

    async def _forget(self, digests: set[str]) -> None:
        for digest in filter(None, digests):
            await self._redis.execute("DEL", keys.by_digest(digest))

    def _remember(self, digest: str, caller: Caller | None) -> None:
        self._cache.pop(digest, None)
        if caller is not None:
            self._cache[digest] = caller
        if len(self._cache) > CACHED_KEYS:
            self._cache.popitem(last=False)


def _rotated(key: KeyRecord, digest: str, prefix: str, overlap_until_ms: int) -> KeyRecord:
    if key.digest == digest:
        return key
    return replace(key, digest=digest, old_digest=key.digest, prefix=prefix, overlap_until_ms=overlap_until_ms)


def _check_new(record: KeyRecord) -> None:
    check_owner(record.owner)
    if record.team:
        check_name("team", record.team)
    if record.member:
        check_name("member", record.member)
    _check(replace(record, name=""), record)


def _check(before: KeyRecord, after: KeyRecord) -> None:
    if after.name != before.name:
        check_text("name of the key", after.name)
    check_nano("cap of the key", after.cap_nano)
    check_nano("monthly limit of the key", after.month_limit_nano)
