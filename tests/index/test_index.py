"""The index against a model in plain Python: whatever the logs say, in whatever pages it is read."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.index import index as index_module
from extproc.index import pages
from extproc.index.index import Index
from extproc.index.rows import Row
from extproc.index.where import By, Where
from extproc.store.connection import Connection
from tests.index.samples import ZONE, Told, expected_rows, expected_totals, logs, matches, wheres, write
from tests.store.redis_server import RedisServer

steady = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def on_redis(server: RedisServer, work: Callable[[Connection, Index], Coroutine[Any, Any, None]]) -> None:
    """Do the work on an empty Redis and an index of nothing."""

    async def connected() -> None:
        connection = Connection(server.url)
        with tempfile.TemporaryDirectory() as folder:
            index = Index(Path(folder) / "index.sqlite", ZONE)
            try:
                await work(connection, index)
            finally:
                index.close()
                await connection.aclose()

    server.flush()
    asyncio.run(connected())


async def paged(index: Index, where: Where, limit: int) -> list[Row]:
    """All pages, one after the other."""
    rows, cursor, more = [], "", True
    while more:
        page = await index.page(where, limit, cursor)
        assert len(page.rows) <= limit
        rows += page.rows
        cursor, more = page.next_cursor, bool(page.next_cursor)
    return rows


def in_order(rows: list[Row]) -> list[Row]:
    """The same rows, those of one moment by their ids: whose log is read first is nobody's business."""
    assert [row.time_ms for row in rows] == sorted((row.time_ms for row in rows), reverse=True)
    return sorted(rows, key=lambda row: (-row.time_ms, row.request_id))


async def check(index: Index, told: list[Told], asked: list[Where], limit: int, by: By) -> None:
    """Pages, export and totals are those of the model."""
    rows = expected_rows(told)
    for where in asked:
        wanted = [row for row in rows if matches(row, where)]
        assert in_order(await paged(index, where, limit)) == wanted
        assert in_order([row async for some in index.export(where) for row in some][::-1]) == wanted
        found, everything = await index.totals(where, by)
        assert found == expected_totals(wanted, by)
        assert everything.cost_nano == sum(row.cost_nano for row in wanted)
        assert everything.requests == len(wanted)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is read and looked at a little at a time."""
    for name, value in (("LOGS_AT_ONCE", 3), ("ENTRIES_AT_ONCE", 6), ("MOST_ENTRIES", 4), ("LEAST_ENTRIES", 1)):
        monkeypatch.setattr(index_module, name, value)
    monkeypatch.setattr(index_module, "EXPORTED_AT_ONCE", 3)
    monkeypatch.setattr(pages, "LOOK", 6)
    monkeypatch.setattr(pages, "LEAST_LOOK", 2)


@pytest.mark.usefixtures("small")
@steady
@given(logs(), st.lists(wheres, min_size=1, max_size=6), st.integers(1, 7), st.sampled_from(By), st.data())
def test_the_index_is_what_the_logs_say(
    server: RedisServer, told: list[Told], asked: list[Where], limit: int, by: By, data: st.DataObject
) -> None:
    """Filled at any moments, in any pages: lists, exports and totals of any filter are those of the model."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(told)), max_size=3)))

    async def work(connection: Connection, index: Index) -> None:
        for first, last in zip([0, *cuts], [*cuts, len(told)], strict=True):
            await write(connection, *told[first:last])
            await index.fill(connection)
        assert await index.fill(connection) == 0
        await check(index, told, [Where(), *asked], limit, by)

    on_redis(server, work)
