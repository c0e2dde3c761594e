"""The index against a model in plain Python: whatever the logs say, in whatever pages it is read."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.core.identity import KeyRecord
from extproc.core.ledger import State
from extproc.errors import LedgerUnavailable
from extproc.index import index as index_module
from extproc.index import pages, writing
from extproc.index.index import Index
from extproc.index.rows import Row
from extproc.index.where import By, Visible, Where
from extproc.store.connection import Connection
from tests.index.samples import (
    HOUR_MS,
    KEYS,
    NEIGHBOUR,
    START_MS,
    ZONE,
    Told,
    expected_rows,
    expected_totals,
    logs,
    matches,
    wheres,
    write,
)
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


@pytest.mark.usefixtures("small")
@settings(steady, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(["gpt", "gpt", "claude"])), min_size=30, max_size=60),
    st.lists(st.sampled_from([Visible("ada"), Visible("grace"), Visible(NEIGHBOUR, "red")]), min_size=1, unique=True),
    st.integers(1, 9),
)
def test_who_sees_several_teams_sees_them_in_one_order(
    server: RedisServer, asked: list[tuple[KeyRecord, str]], visible: list[Visible], limit: int
) -> None:
    """However unlike the teams are: pages never go further than the one of which the least was looked at."""
    told = [
        Told(f"r{number}", key, START_MS + number // 3, State.REPORTED, 1, model)
        for number, (key, model) in enumerate(asked)
    ]

    async def work(connection: Connection, index: Index) -> None:
        await write(connection, *told)
        await index.fill(connection)
        seen = tuple(visible)
        await check(index, told, [Where(visible=seen, model="claude"), Where(visible=seen)], limit, By.KEY)

    on_redis(server, work)


@pytest.mark.usefixtures("small")
@settings(steady, max_examples=20)
@given(logs(), wheres, st.sampled_from(By))
def test_two_who_fill_at_once_count_nothing_twice(server: RedisServer, told: list[Told], where: Where, by: By) -> None:
    """Two processes with one file, as the admin service and a command line are, while more is written."""

    async def work(connection: Connection, index: Index) -> None:
        other, beside = Index(index.path, ZONE), Connection(server.url)
        half = len(told) // 2
        await write(connection, *told[:half])
        found = await asyncio.gather(
            index.fill(connection), other.fill(beside), write(connection, *told[half:]), other.fill(connection)
        )
        rest = [await one.fill(connection) for one in (index, other)]
        assert sum(each or 0 for each in (*found, *rest)) == len(told)
        for each in (index, other):
            await check(each, told, [where], 5, by)
        other.close()
        await beside.aclose()

    on_redis(server, work)


@pytest.mark.usefixtures("small")
@settings(steady, max_examples=20)
@given(logs(), logs(), wheres, st.integers(1, 4))
def test_paging_while_more_comes(
    server: RedisServer, told: list[Told], more: list[Told], where: Where, limit: int
) -> None:
    """Each request that was there at the beginning is on one page, once; others come once or not at all."""
    told = [replace(each, request_id=f"first-{each.request_id}") for each in told]

    async def work(connection: Connection, index: Index) -> None:
        await write(connection, *told)
        await index.fill(connection)
        left, ids, cursor, go_on = list(more), [], "", True
        while go_on:
            page = await index.page(where, limit, cursor)
            ids += [row.request_id for row in page.rows]
            cursor, go_on = page.next_cursor, bool(page.next_cursor)
            await write(connection, *left[:3])
            del left[:3]
            await index.fill(connection)
        wanted = [row.request_id for row in expected_rows(told) if matches(row, where)]
        assert len(ids) == len(set(ids))
        assert sorted(each for each in ids if each.startswith("first-")) == sorted(wanted)

    on_redis(server, work)


@pytest.mark.usefixtures("small")
@settings(steady, max_examples=20)
@given(logs(), wheres, st.lists(st.integers(0, 3), max_size=6))
def test_followers_are_told_each_request_once(
    server: RedisServer, told: list[Told], where: Where, pauses: list[int]
) -> None:
    """In any pieces, also of a request that ends and is corrected later: what matches when it is first heard of."""

    async def work(connection: Connection, index: Index) -> None:
        mark, ids, left = await index.last(), [], list(told)
        for count in (*pauses, len(told)):
            await write(connection, *left[:count])
            del left[:count]
            await index.fill(connection)
            while True:
                rows, reached = await index.after(mark, where)
                ids += [row.request_id for row in rows]
                if reached == mark:
                    break
                mark = reached
        assert len(ids) == len(set(ids))
        if not pauses:
            assert sorted(ids) == sorted(row.request_id for row in expected_rows(told) if matches(row, where))

    on_redis(server, work)


@pytest.mark.usefixtures("small")
@settings(steady, max_examples=20)
@given(logs(), wheres, st.sampled_from(By), st.integers(-1, 13))
def test_old_requests_are_forgotten(server: RedisServer, told: list[Told], where: Where, by: By, steps: int) -> None:
    """What was admitted before a moment is in no list and in no sum; everything else is."""
    before_ms = START_MS + steps * 5 * HOUR_MS

    async def work(connection: Connection, index: Index) -> None:
        await write(connection, *told)
        await index.fill(connection)
        gone = {row.request_id for row in expected_rows(told) if row.time_ms < before_ms}
        assert await index.trim(before_ms) == len(gone)
        await check(index, [each for each in told if each.request_id not in gone], [Where(), where], 5, by)

    on_redis(server, work)


class Cut(Exception):
    """The process ends here."""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("pages_written", range(8))
async def test_a_crash_between_pages_loses_and_doubles_nothing(
    connection: Connection, index: Index, pages_written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filling ends after any page, in the middle of the next: what follows goes on from there."""
    told = [Told(f"r{number}", KEYS[number % 2], START_MS + number, State.REPORTED, number) for number in range(30)]
    await write(connection, *told)
    left, write_rows = pages_written, writing.write

    def dying(db: sqlite3.Connection, *asked: Any) -> tuple[int, int]:
        nonlocal left
        left -= 1
        done = write_rows(db, *asked)
        if left < 0:
            raise Cut
        return done

    monkeypatch.setattr(writing, "write", dying)
    with pytest.raises(Cut):
        await index.fill(connection)
    monkeypatch.setattr(writing, "write", write_rows)
    again = Index(index.path, ZONE)
    assert 0 < await again.fill(connection) <= len(told)
    await check(again, told, [Where()], 7, By.KEY)
    again.close()


class Slow(Connection):
    """Answers when it is told to, or not at all."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked, self.go, self.away = 0, asyncio.Event(), False

    async def execute(self, command: str, *args: str | int) -> Any:
        """The command, later."""
        if command == "SCARD":
            self.asked += 1
            await self.go.wait()
            if self.away:
                raise LedgerUnavailable("no answer")
        return await super().execute(command, *args)


async def test_those_who_wait_are_told_together(server: RedisServer, connection: Connection, index: Index) -> None:
    """Ten who ask while the logs are read are all answered by reading once more, which has what they wrote."""
    slow = Slow(server.url)
    first = asyncio.create_task(index.fill_for(slow, Where()))
    while not slow.asked:
        await asyncio.sleep(0)
    await write(connection, Told("late", KEYS[0], START_MS, State.REPORTED, 1))
    others = [asyncio.create_task(index.fill_for(slow, Where())) for _ in range(10)]
    await asyncio.sleep(0)
    slow.go.set()
    await asyncio.gather(first, *others)
    assert slow.asked == 2
    assert await index.get("late") is not None
    await slow.aclose()


async def test_those_who_wait_are_not_told_what_was_not_read(server: RedisServer, index: Index) -> None:
    """When Redis does not answer, each of them is told so."""
    slow = Slow(server.url)
    slow.away = True
    tasks = [asyncio.create_task(index.fill_for(slow, Where())) for _ in range(5)]
    await asyncio.sleep(0)
    slow.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [LedgerUnavailable] * 5
    await slow.aclose()
