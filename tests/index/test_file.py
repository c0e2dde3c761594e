"""The file is never needed: whatever happens to it, or to Redis, the index is soon what the logs say."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from extproc.core.ledger import State, bucket_of
from extproc.index.index import Index
from extproc.index.where import By, Where
from extproc.store import keys
from extproc.store.connection import Connection
from tests.index.samples import HOUR_MS, KEYS, NEIGHBOUR, START_MS, ZONE, Told, expected_rows, expected_totals, write

TOLD = [
    Told(f"r{number}", KEYS[number % 15], START_MS + number * HOUR_MS, State.REPORTED, number) for number in range(40)
]
LOG = keys.usage(bucket_of("ada"))


async def check(index: Index, told: list[Told]) -> None:
    """The index has these, and nothing else."""
    page = await index.page(Where(), 1000)
    assert page.rows == expected_rows(told)
    found, everything = await index.totals(Where(), By.DAY)
    assert found == expected_totals(page.rows, By.DAY)
    assert everything.cost_nano == sum(each.cost_nano for each in told)


def delete(path: Path) -> None:
    """Only the file, not what SQLite has beside it."""
    path.unlink()


def delete_all(path: Path) -> None:
    """The file and what SQLite has beside it."""
    for each in path.parent.glob("index.sqlite*"):
        each.unlink()


def scribble(path: Path) -> None:
    """No database."""
    delete_all(path)
    path.write_bytes(b"This is no database, but it is long enough to be taken for one.\n" * 100)


def empty(path: Path) -> None:
    """A file that has nothing in it."""
    delete_all(path)
    path.touch()


def other_version(path: Path) -> None:
    """What an older Tollgate left."""
    delete_all(path)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE requests (id INTEGER PRIMARY KEY, other TEXT)")
        db.execute("CREATE TABLE gone (id INTEGER PRIMARY KEY)")
        db.execute("PRAGMA user_version = 1000")


@pytest.mark.parametrize("open_meanwhile", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize("spoil", [delete, delete_all, scribble, empty, other_version])
async def test_a_file_that_is_spoilt_is_made_again(
    connection: Connection, index: Index, spoil: Callable[[Path], None], open_meanwhile: bool
) -> None:
    """Also under a process that has it open."""
    await write(connection, *TOLD)
    await index.fill(connection)
    if not open_meanwhile:
        index.close()
    spoil(index.path)
    again = index if open_meanwhile else Index(index.path, ZONE)
    assert await again.fill(connection) == len(TOLD)
    await check(again, TOLD)
    again.close()


async def test_another_time_zone_has_other_days(connection: Connection, index: Index) -> None:
    """The totals of a deployment that moved are by its new days."""
    await write(connection, Told("r1", KEYS[0], START_MS + 6 * HOUR_MS, State.REPORTED, 1))
    await index.fill(connection)
    (here, *_), _ = await index.totals(Where(), By.DAY)
    moved = Index(index.path, ZoneInfo("Pacific/Honolulu"))
    assert await moved.fill(connection) == 1
    (there, *_), _ = await moved.totals(Where(), By.DAY)
    assert (here.of, there.of) == ("2026-09-22", "2026-09-21")
    moved.close()


async def test_two_may_make_the_file_at_once(connection: Connection, index: Index) -> None:
    """Whoever comes second finds it made."""
    await write(connection, *TOLD)
    others = [Index(index.path, ZONE) for _ in range(5)]
    await asyncio.gather(*(each.fill(connection) for each in (index, *others)))
    for each in (index, *others):
        await check(each, TOLD)
        each.close()


async def test_a_log_that_was_lost_is_forgotten(connection: Connection, index: Index) -> None:
    """Redis lost everything, and goes on with other requests: only those were ever there."""
    await write(connection, *TOLD)
    await index.fill(connection)
    await connection.execute("FLUSHALL")
    new = [Told(f"new{number}", KEYS[number % 15], START_MS, State.REPORTED, 1) for number in range(15)]
    await write(connection, *new)
    await index.fill(connection)
    assert {row.request_id for row in (await index.page(Where(), 100)).rows} == {each.request_id for each in new}
    assert (await index.totals(Where(), By.OWNER))[1].requests == 15


@pytest.mark.parametrize("lost", [1, 5])
async def test_a_log_that_lost_its_end_is_read_again(connection: Connection, index: Index, lost: int) -> None:
    """As after a crash of Redis, or when a replica that was behind takes over; then more comes."""
    told = [Told(f"r{number}", KEYS[number % 2], START_MS + number, State.REPORTED, number) for number in range(9)]
    await write(connection, *told)
    await index.fill(connection)
    kept = await connection.execute("XRANGE", LOG, "-", "+")
    await connection.execute("DEL", LOG)
    for position, fields in kept[:-lost]:
        await connection.execute("XADD", LOG, position, *(word for pair in fields.items() for word in pair))
    other = Told("other", KEYS[0], START_MS + 100, State.REPORTED, 7)
    await index.fill(connection)
    await check(index, told[:-lost])
    await write(connection, other)
    await index.fill(connection)
    await check(index, [*told[:-lost], other])


async def test_a_neighbour_is_read_again_too_and_others_are_not(connection: Connection, index: Index) -> None:
    """What is lost is a bucket's log; that of another bucket stays as it was read."""
    await write(connection, *TOLD)
    await index.fill(connection)
    await connection.execute("DEL", LOG)
    await index.fill(connection)
    await check(index, [each for each in TOLD if each.key.owner not in ("ada", NEIGHBOUR)])


async def test_a_trimmed_log_is_not_lost(connection: Connection, index: Index) -> None:
    """The entries are not in Redis any more, but the log knows how far it had come: nothing is read again."""
    await write(connection, *TOLD)
    await index.fill(connection)
    await connection.execute("XTRIM", LOG, "MAXLEN", 0)
    with capture_logs() as logs:
        assert await index.fill(connection) == 0
    assert logs == []
    await check(index, TOLD)


GOOD = Told("good", KEYS[0], START_MS, State.REPORTED, 5)
BAD: dict[str, dict[str, str | None]] = {
    "no such state": {"state": "99"},
    "no cost": {"cost": "much"},
    "a cost without end": {"cost": str(10**30)},
    "an id that is no text": {"id": "a\udcff"},
    "an owner that is no text": {"owner": "a\udcff"},
    "no owner": {"owner": None},
    "a time beyond all days": {"at": str(10**18), "record": ""},
}


@pytest.mark.parametrize("what", BAD)
async def test_an_entry_that_cannot_be_read_is_passed_over(connection: Connection, index: Index, what: str) -> None:
    """It is counted and told of; what comes before and after it is there."""
    await write(connection, GOOD)
    fields: dict[str, str | int | None] = {**Told("bad", KEYS[0], START_MS, State.REPORTED, 1).fields, **BAD[what]}
    words = [word for name, value in fields.items() if value is not None for word in (name, value)]
    await add_raw(connection, words)
    await write(connection, Told("after", KEYS[0], START_MS + 1, State.REPORTED, 2))
    with capture_logs() as logs:
        await index.fill(connection)
        assert await index.fill(connection) == 0
    assert [row.request_id for row in (await index.page(Where())).rows] == ["after", "good"]
    assert [each["event"] for each in logs] == ["usage_unreadable"]
    assert index.unreadable == 1


async def add_raw(connection: Connection, words: list[str | int]) -> None:
    """Add an entry, also one that is no text: a script writes its bytes."""
    hexed = [str(word).encode("utf-8", "surrogateescape").hex() for word in words]
    script = (
        "local words = {} for i = 1, #ARGV do words[i] = ARGV[i]:gsub('..', function(two) "
        "return string.char(tonumber(two, 16)) end) end return redis.call('XADD', KEYS[1], '*', unpack(words))"
    )
    await connection.execute("EVAL", script, 1, LOG, *hexed)


async def test_a_charge_whose_record_is_broken_is_still_counted(connection: Connection, index: Index) -> None:
    """It is the owner's, at the time it was reported: the sums stay those of the wallet."""
    broken = Told("broken", KEYS[1], START_MS, State.REPORTED, 5, record="{")
    await write(connection, broken, Told("broken", KEYS[1], START_MS, State.REPORTED, 2, record="not JSON"))
    await index.fill(connection)
    (row,) = (await index.page(Where(owner="ada"))).rows
    assert (row.cost_nano, row.key_id, row.usage_source, row.time_ms) == (7, "", "reported", START_MS + 5)


async def test_a_row_stays_at_its_time(connection: Connection, index: Index) -> None:
    """That of its first entry, whatever later ones say, or a page could miss it or have it twice."""
    await write(connection, Told("r", KEYS[1], START_MS, State.PARTIAL, 5, record="{"))
    await write(connection, Told("r", KEYS[1], START_MS, State.REPORTED, 2))
    await index.fill(connection)
    (row,) = (await index.page(Where(key_id=KEYS[1].key_id))).rows
    assert (row.cost_nano, row.time_ms) == (7, START_MS + 5)


async def test_a_release_without_a_record_keeps_what_is_known(connection: Connection, index: Index) -> None:
    """An expired request of which only its end is reported later is still that key's."""
    await write(connection, Told("r", KEYS[1], START_MS, State.EXPIRED, 0))
    await write(connection, Told("r", KEYS[1], START_MS, State.RELEASED, 0, record=""))
    await index.fill(connection)
    (row,) = (await index.page(Where(key_id=KEYS[1].key_id))).rows
    assert (row.usage_source, row.time_ms, row.team) == ("none", START_MS, "red")
    ((total, *_), _) = await index.totals(Where(), By.KEY)
    assert (total.requests, total.failed) == (1, 0)
