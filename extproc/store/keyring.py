"""The keys in Redis: looked up by digest on every request, made and disabled by an operator.

    tg:digest:<hmac> → owner and key id → the record, in the owner's slot

The look-up is written last: a key that was made only in part does not authenticate.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from extproc.core.identity import Caller, KeyRecord, KeyStatus, OwnerRecord
from extproc.core.ledger import UNLIMITED, Account, AccountKind, bucket_of
from extproc.errors import TollgateError
from extproc.store import keys, scripts
from extproc.store.connection import Connection

CACHED_KEYS = 10_000
"""Keys a worker remembers, the least recently used being dropped first. A key nobody made is never remembered."""


class RedisKeyring:
    """A `Keyring` over one connection, and what an operator does to keys. Every method raises `LedgerUnavailable`."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis
        self._cache: OrderedDict[str, Caller] = OrderedDict()

    async def find(self, digest: str) -> Caller | None:
        """Who has the key with this digest, perhaps as it was a while ago; a hold tells."""
        cached = self._cache.get(digest)
        if cached is None:
            return await self.find_fresh(digest)
        self._cache.move_to_end(digest)
        return cached

    async def find_fresh(self, digest: str) -> Caller | None:
        """The same as it is now."""
        owner, key_id = await self._redis.execute("HMGET", keys.by_digest(digest), "owner", "key_id")
        caller = None
        if owner and key_id:
            key, of = await asyncio.gather(self._read(owner, key_id), self.owner(owner))
            caller = Caller(key, of) if key else None
        self._remember(digest, caller)
        return caller

    async def create(self, record: KeyRecord, digest: str) -> None:
        """Store a new key, open its account and its owner's wallet. May be repeated until it succeeds.

        Raises `TollgateError` when there is another key with this id.
        """
        if not await self.put(record, replaces=0):
            raise TollgateError(f"there is a key {record.key_id} already; nothing was changed")
        await self._redis.execute("SADD", keys.OWNERS, record.owner)
        await self._redis.execute("SET", keys.owner_of(record.key_id), record.owner)
        await self._redis.execute("HSET", keys.by_digest(digest), "owner", record.owner, "key_id", record.key_id)

    async def list(self, owner: str | None = None) -> Sequence[KeyRecord]:
        """The keys of one owner or of all, by owner and id."""
        owners = [owner] if owner is not None else await self.owners()
        found = []
        for name in owners:
            key_ids = await self._redis.execute("SMEMBERS", keys.keys_of(bucket_of(name), name))
            records = [await self._read(name, key_id) for key_id in sorted(key_ids)]
            found += [record for record in records if record is not None]
        return found

    async def disable(self, key_id: str) -> KeyRecord | None:
        """Refuse a key from its next request on; the key as it is now, None when there is none."""
        owner = await self._redis.execute("GET", keys.owner_of(key_id))
        while owner:
            record = await self._read(owner, key_id)
            if record is None or record.status is KeyStatus.DISABLED:
                return record
            disabled = replace(record, status=KeyStatus.DISABLED, revision=record.revision + 1)
            if await self.put(disabled, replaces=record.revision):
                return disabled
        return None

    async def put(self, record: KeyRecord, replaces: int) -> bool:
        """Store a record in place of the revision it `replaces` (0: there is none); False when that is not there."""
        bucket = bucket_of(record.owner)
        stored = await self._redis.script(
            scripts.PUT_KEY,
            [
                keys.key(bucket, record.key_id),
                keys.account(bucket, Account(AccountKind.KEY, record.key_id)),
                keys.account(bucket, Account(AccountKind.WALLET, record.owner)),
                keys.keys_of(bucket, record.owner),
                *(keys.account(bucket, quota) for quota in record.quotas),
            ],
            [
                record.key_id,
                record.status,
                record.revision,
                replaces,
                msgspec.json.encode(record).decode(),
                record.cap_nano or UNLIMITED,
            ],
        )
        return bool(stored)

    async def owners(self) -> Sequence[str]:
        """Everyone who was ever given a key, by name."""
        return sorted(await self._redis.execute("SMEMBERS", keys.OWNERS))

    async def owner(self, owner: str) -> OwnerRecord:
        """What is said of an owner, as it is now."""
        record = await self._redis.execute("HGET", keys.owner(bucket_of(owner), owner), "record")
        return msgspec.json.decode(record, type=OwnerRecord) if record else OwnerRecord(owner)

    async def put_owner(self, record: OwnerRecord, replaces: int) -> bool:
        """Store what is said of an owner in place of the revision it `replaces`; False when that is not there."""
        encoded = msgspec.json.encode(record).decode()
        name = keys.owner(bucket_of(record.owner), record.owner)
        return bool(await self._redis.script(scripts.PUT_OWNER, [name], [record.revision, replaces, encoded]))

    async def _read(self, owner: str, key_id: str) -> KeyRecord | None:
        record = await self._redis.execute("HGET", keys.key(bucket_of(owner), key_id), "record")
        return msgspec.json.decode(record, type=KeyRecord) if record else None

    def _remember(self, digest: str, caller: Caller | None) -> None:
        self._cache.pop(digest, None)
        if caller is not None:
            self._cache[digest] = caller
        if len(self._cache) > CACHED_KEYS:
            self._cache.popitem(last=False)
