"""What the verbs work on, in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo

from extproc.core.catalog import Catalog
from extproc.core.change import By
from extproc.core.people import Principal
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.teams import RedisTeams
from extproc.store.tokens import RedisTokens


@dataclass(frozen=True, slots=True)
class Parts:
    """The stores over one connection, the catalog that is accepted now, the pepper of all digests, and a clock.

    Months begin by `zone`.
    """

    redis: Connection
    keyring: RedisKeyring
    teams: RedisTeams
    tokens: RedisTokens
    ledger: RedisLedger
    catalog: Callable[[], Catalog]
    pepper: bytes
    now_ms: Callable[[], int]
    zone: tzinfo

    @classmethod
    def over(
        cls,
        redis: Connection,
        catalog: Callable[[], Catalog],
        pepper: bytes,
        now_ms: Callable[[], int],
        zone: tzinfo,
    ) -> "Parts":
        """All stores over this connection."""
        stores = RedisKeyring(redis), RedisTeams(redis), RedisTokens(redis), RedisLedger(redis)
        return cls(redis, *stores, catalog, pepper, now_ms, zone)

    def by(self, principal: Principal) -> By:
        """Who makes a change now, for the record of changes."""
        return By(principal.name, self.now_ms())
