"""Lists find what they show by an index, and look at no more rows than they promise."""

import sqlite3
from contextlib import closing
from itertools import combinations
from pathlib import Path

import pytest

from extproc.core.ledger import State
from extproc.index import pages, totals
from extproc.index.days import Span, begin_ms, day_of
from extproc.index.file import DRIVERS, File
from extproc.index.index import Index
from extproc.index.pages import place_of
from extproc.index.totals import TooMany
from extproc.index.where import By, Visible, Where
from extproc.store.connection import Connection
from tests.index.samples import HOUR_MS, KEYS, START_MS, ZONE, Told, write

FIELDS = {
    "owner": "ada",
    "team": "red",
    "member": "bob",
    "key_id": "key1-ada",
    "model": "gpt",
    "group": "main",
    "channel": "a",
    "status": "4xx",
}


@pytest.mark.parametrize("number", range(3))
def test_every_list_is_found_by_an_index(tmp_path: Path, number: int) -> None:
    """Whatever is asked for, no statement scans a table or sorts what it found."""
    file = File(tmp_path / "index.sqlite", "UTC")
    seen: list[str] = []
    with file.reading() as db:
        for names in combinations(FIELDS, number):
            where = Where(**{name: FIELDS[name] for name in names}, from_ms=5, until_ms=START_MS)  # type: ignore[arg-type]
            db.set_trace_callback(seen.append)
            pages.page(db, where, 10, pages.cursor_of(pages.Place(7, 3)))
            db.set_trace_callback(None)
        plans = [row[3] for asked in seen for row in db.execute(f"EXPLAIN QUERY PLAN {asked}")]
    assert plans
    assert [plan for plan in plans if plan.startswith(("SCAN requests", "USE TEMP"))] == []
    file.close()


async def test_the_index_with_the_fewest_rows_is_taken(connection: Connection, index: Index) -> None:
    """Of a frequent key, a rare model and a status that most have: the model's."""
    told = [Told(f"r{number}", KEYS[1], START_MS, State.REPORTED, 1) for number in range(30)]
    await write(connection, *told, Told("rare", KEYS[1], START_MS, State.REPORTED, 1, model="claude"))
    await index.fill(connection)
    with closing(sqlite3.connect(index.path)) as db:
        seen: list[str] = []
        db.set_trace_callback(seen.append)
        page = pages.page(db, Where(key_id=KEYS[1].key_id, model="claude", status="200"), 10, "")
    assert [row.request_id for row in page.rows] == ["rare"]
    (chosen,) = {asked.partition("INDEXED BY ")[2].split()[0] for asked in seen if "ORDER BY" in asked}
    assert chosen == "requests_model"


@pytest.mark.parametrize("driver", DRIVERS)
def test_there_is_an_index_for_every_driver(tmp_path: Path, driver: str) -> None:
    """In the order of time."""
    file = File(tmp_path / "index.sqlite", "UTC")
    with file.reading() as db:
        columns = [row[2] for row in db.execute(f"PRAGMA index_info(requests_{driver})")]
    assert columns == (["time_ms"] if driver == "time" else [driver, "time_ms"])
    file.close()


async def test_a_page_looks_at_so_many_rows_and_says_where_it_stopped(
    connection: Connection, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where little matches, pages are short or empty, and what matches is on one of them."""
    monkeypatch.setattr(pages, "LOOK", 10)
    monkeypatch.setattr(pages, "LEAST_LOOK", 10)
    told = [Told(f"r{number}", KEYS[min(1, number)], START_MS + number, State.REPORTED, 1) for number in range(35)]
    await write(connection, *told)
    await index.fill(connection)
    alone, cursor, found = Where(visible=(Visible("ada", ""),)), "", []
    while True:
        page = await index.page(alone, 100, cursor)
        found.append([row.request_id for row in page.rows])
        cursor = page.next_cursor
        if not cursor:
            break
    assert found == [[], [], [], ["r0"]]


@pytest.mark.parametrize(
    "cursor", ["x", "MQ", "MS4y.", "LTEuMg", "größer", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LjE", "MS4yLjM"]
)
async def test_a_cursor_that_was_not_given_out_is_refused(index: Index, cursor: str) -> None:
    """In words that say what to give."""
    with pytest.raises(ValueError, match="next_cursor"):
        place_of(cursor)
    with pytest.raises(ValueError, match="next_cursor"):
        await index.page(Where(), 10, cursor)
    with pytest.raises(ValueError, match="next_cursor"):
        await index.changes(cursor=cursor)


@pytest.mark.parametrize("status", ["2", "20x", "xxx", "4XX", "1000", "-1", "099", "0xx", "99"])
def test_a_status_that_cannot_be_is_refused(status: str) -> None:
    """One is a number of three digits, a class, or 0."""
    with pytest.raises(ValueError, match="4xx"):
        Where(status=status)


async def test_who_may_see_nothing_sees_nothing(connection: Connection, index: Index) -> None:
    """Neither in lists nor in sums, nor by its id."""
    await write(connection, Told("r", KEYS[0], START_MS, State.REPORTED, 1))
    await index.fill(connection)
    where = Where(visible=())
    assert (await index.page(where)).rows == []
    assert (await index.totals(where, By.DAY))[0] == []
    assert await index.get("r", ()) is None
    assert await index.get("r", (Visible("ada", "red"),)) is None
    assert await index.get("none") is None
    assert (await index.get("r")) is not None


async def test_too_large_a_piece_of_a_day_is_refused(
    connection: Connection, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But whole days are not, nor is what an index tells apart."""
    monkeypatch.setattr(totals, "PIECE_ROWS", 5)
    told = [Told(f"r{number}", KEYS[number % 2], START_MS, State.REPORTED, 1) for number in range(8)]
    await write(connection, *told)
    await index.fill(connection)
    piece = Where(from_ms=START_MS, until_ms=START_MS + HOUR_MS)
    with pytest.raises(TooMany, match="whole days"):
        await index.totals(piece, By.KEY)
    of_key = Where(from_ms=START_MS, until_ms=START_MS + HOUR_MS, key_id=KEYS[0].key_id)
    assert (await index.totals(of_key, By.KEY))[1].requests == 4
    day = begin_ms(day_of(START_MS, ZONE), ZONE)
    assert (await index.totals(Where(from_ms=day, until_ms=day + 24 * HOUR_MS), By.KEY))[1].requests == 8


DAY = begin_ms("2026-11-22", ZONE)
SPANS = [
    (0, 0, Span("", "", ())),
    (DAY, 0, Span("2026-11-22", "", ())),
    (0, DAY, Span("", "2026-11-22", ())),
    (DAY + 1, 0, Span("2026-11-23", "", ((DAY + 1, DAY + 24 * HOUR_MS),))),
    (0, DAY + 1, Span("", "2026-11-22", ((DAY, DAY + 1),))),
    (DAY, DAY + 24 * HOUR_MS, Span("2026-11-22", "2026-11-23", ())),
    (DAY + 1, DAY + 2, Span("2026-11-23", "2026-11-23", ((DAY + 1, DAY + 2),))),
    (DAY, DAY + 2, Span("2026-11-22", "2026-11-22", ((DAY, DAY + 2),))),
]


@pytest.mark.parametrize(("from_ms", "until_ms", "expected"), SPANS)
def test_a_span_is_whole_days_and_pieces(from_ms: int, until_ms: int, expected: Span) -> None:
    """Of days in a zone that is not UTC's."""
    assert Span.of(from_ms, until_ms, ZONE) == expected
