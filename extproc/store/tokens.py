"""The tokens of the admin service, in a slot of their own.

    tg:{tokens}:digest:<hmac> → token id → the record

The look-up is written first and leads nowhere until the record is put: a token is made by one script.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from extproc.core.change import By
from extproc.core.checks import check_text
from extproc.core.people import Scope
from extproc.errors import AlreadyThere
from extproc.store import keys, records
from extproc.store.connection import Connection


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """All that is kept of a token. `person` is whom one of the scope PERSON speaks for; `expires_ms` is 0 for never."""

    token_id: str
    prefix: str
    name: str
    scopes: tuple[Scope, ...]
    person: str = ""
    created_ms: int = 0
    expires_ms: int = 0
    digest: str = ""
    revoked: bool = False
    revision: int = 1


class RedisTokens:
    """The tokens over one connection. Nothing is cached. Every method raises `LedgerUnavailable`."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def find(self, digest: str) -> TokenRecord | None:
        """The token with this digest, unless it was revoked; whether it has expired is for the caller to say."""
        token_id = await self._redis.execute("GET", keys.token_by_digest(digest))
        record = await self._read(token_id) if token_id else None
        return record if record and record.digest == digest and not record.revoked else None

    async def list(self) -> Sequence[TokenRecord]:
        """All that were not revoked, by id."""
        token_ids = sorted(await self._redis.execute("SMEMBERS", keys.TOKENS))
        found = await asyncio.gather(*(self._read(token_id) for token_id in token_ids))
        return [record for record in found if record and not record.revoked]

    async def create(self, record: TokenRecord, digest: str, by: By = records.UNNAMED) -> TokenRecord:
        """Store a new token. May be repeated until it succeeds. Raises `AlreadyThere` for another of this id."""
        check_text("name of the token", record.name)
        record = replace(record, digest=digest)
        await self._redis.execute("SET", keys.token_by_digest(digest), record.token_id)
        if not await self._put(record, 0, "token.create", by):
            raise AlreadyThere(f"there is a token {record.token_id} already; nothing was changed")
        return record

    async def revoke(self, token_id: str, by: By = records.UNNAMED) -> TokenRecord | None:
        """Refuse a token from now on and for good; None when there is none. May be repeated until it succeeds."""
        revoked = await records.edit(
            lambda: self._read(token_id),
            lambda record: replace(record, revoked=True),
            lambda before, after: self._put(after, before.revision, "token.revoke", by),
            None,
        )
        if revoked:
            await self._redis.execute("DEL", keys.token_by_digest(revoked.digest))
        return revoked

    async def _read(self, token_id: str) -> TokenRecord | None:
        return await records.read(self._redis, keys.token(token_id), TokenRecord)

    async def _put(self, record: TokenRecord, replaces: int, what: str, by: By) -> bool:
        place = records.Place(keys.token(record.token_id), keys.TOKENS, keys.CHANGES_OF_TOKENS, "", record.token_id)
        status = "revoked" if record.revoked else "active"
        return await records.put(self._redis, place, record, replaces, what, by, status)
