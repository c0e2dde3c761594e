"""The demo that `tollgate up` prepares: two owners, one with money and one without, each with a key.

The plaintexts are kept in the data folder, as a client would keep them, so that the next start prints the same keys.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

from extproc.clock import now_ms
from extproc.core import identity
from extproc.core.change import By
from extproc.core.identity import KeyRecord
from extproc.core.money import NANO_PER_USD
from extproc.settings import Settings, load_pepper, own_secret
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger

DEMO_OWNER, EMPTY_OWNER = "demo", "demo-empty"
DEMO_NANO = 10 * NANO_PER_USD
"""What the demo owner starts with, once per data folder."""


@dataclass(frozen=True, slots=True)
class DemoKeys:
    """Two plaintext keys: one whose owner has money, and one whose owner has none."""

    paid: str
    empty: str


async def prepare(settings: Settings) -> DemoKeys:
    """Make what is missing of the demo. May be repeated; balances stay as they are, and a deleted key deleted."""
    async with aclosing(Connection(settings.redis_url)) as connection:
        await RedisLedger(connection).top_up(DEMO_OWNER, DEMO_NANO, "demo", now_ms())
        paid, empty = await asyncio.gather(
            _key_of(settings, connection, DEMO_OWNER), _key_of(settings, connection, EMPTY_OWNER)
        )
    return DemoKeys(paid, empty)


async def _key_of(settings: Settings, connection: Connection, owner: str) -> str:
    keyring = RedisKeyring(connection)
    plaintext = own_secret(settings.data / f"{owner}.key", identity.new_plaintext())
    digest = identity.digest(load_pepper(settings), plaintext)
    by, prefix = By("demo", now_ms()), plaintext[: identity.PREFIX_LENGTH]
    known = await keyring.get(f"key_{owner}")
    if known is None:
        await keyring.create(KeyRecord(f"key_{owner}", owner, prefix, "demo", "default"), digest, by)
    elif known.digest != digest:
        await keyring.rotate(known.key_id, digest, prefix, by=by)
    return plaintext
