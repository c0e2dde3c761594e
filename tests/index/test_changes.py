"""The record of changes: of everybody, of one owner, of one id."""

import pytest
from structlog.testing import capture_logs

from extproc.core.change import By, Change
from extproc.core.identity import KeyRecord
from extproc.core.ledger import bucket_of
from extproc.index import index as index_module
from extproc.index.index import Index
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from tests.index.samples import NEIGHBOUR


async def paged(index: Index, limit: int, owner: str = "", of: str = "") -> list[Change]:
    """All pages."""
    found, cursor, more = [], "", True
    while more:
        page = await index.changes(owner, of, limit, cursor)
        found += page.changes
        cursor, more = page.next_cursor, bool(page.next_cursor)
    return found


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_changes_are_told_newest_first(
    connection: Connection, index: Index, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, also those of the same moment, however they are read and asked for."""
    monkeypatch.setattr(index_module, "MOST_ENTRIES", 2)
    keyring = RedisKeyring(connection)
    for number, owner in enumerate(("ada", NEIGHBOUR, "grace")):
        await keyring.create(KeyRecord(f"key-{owner}", owner, "sk-", "", "main"), owner, By("token:one", number // 2))
        await keyring.disable(f"key-{owner}", By("jwt:two", 5))
        await RedisLedger(connection).top_up(owner, 5, "paid", 7)
    await index.fill(connection)
    everything = await paged(index, limit)
    assert [change.at_ms for change in everything] == [7, 7, 7, 5, 5, 5, 1, 0, 0]
    assert len(set(everything)) == 9
    assert [(each.what, each.who) for each in await paged(index, limit, of="key-ada")] == [
        ("key.disable", "jwt:two"),
        ("key.create", "token:one"),
    ]
    of_ada = [each for each in everything if each.owner == "ada"]
    assert await paged(index, limit, owner="ada") == of_ada
    assert await paged(index, limit, owner="grace", of="key-ada") == []
    assert await index.fill(connection) == 0


async def test_a_change_that_cannot_be_read_is_passed_over(connection: Connection, index: Index) -> None:
    """It is counted and told of."""
    stream = keys.changes(bucket_of("ada"))
    await connection.execute("SADD", keys.OWNERS, "ada")
    good = ("who", "w", "what", "key.edit", "owner", "ada", "of", "k", "before", "", "after", "{}")
    for at in ("-1", "late", "3"):
        await connection.execute("XADD", stream, "*", "at", at, *good)
    await connection.execute("XADD", stream, "*", "at", "3")
    with capture_logs() as logs:
        await index.fill(connection)
    assert await paged(index, 10) == [Change(3, "w", "key.edit", "ada", "k", "", "{}")]
    assert [each["event"] for each in logs] == ["change_unreadable"] * 3
    assert index.unreadable == 3


async def test_a_record_of_changes_that_was_lost_is_forgotten(connection: Connection, index: Index) -> None:
    """What Redis has is what there is."""
    await RedisKeyring(connection).create(KeyRecord("k", "ada", "sk-", "", "main"), "digest")
    await index.fill(connection)
    await connection.execute("DEL", keys.changes(bucket_of("ada")))
    await index.fill(connection)
    assert await paged(index, 10) == []
