"""Questions about usage and changes: who sees what of it, in which form, and how soon."""

import asyncio
import csv
import io
import json
import sys
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from extproc.admin import export
from extproc.admin.export import COLUMNS
from extproc.core.identity import KeyRecord
from extproc.core.ledger import State
from extproc.index import index as index_module
from tests.admin.world import EVERYONE, NOW_MS, OPERATOR, OWNER, REQUEST_ID, TEAM, World, request
from tests.index.samples import Told, write

OTHER = KeyRecord("key-sam", "sam", "sk-", "", "main")
OLD_MEMBER = KeyRecord("key-gone", OWNER, "sk-", "", "main", team="gone", member="vic")
FOREIGN = KeyRecord("key-x", "elsewhere", "sk-", "", "main", team=TEAM, member="mia")

MINE = {"mia", REQUEST_ID}
IN_TEAM = {"team", "olga", "adam", "vic", *MINE}
OF_OWNER = {"payer", "gone", *IN_TEAM}
SEEN: dict[str, set[str]] = {
    "operator": {"sam", "foreign", *OF_OWNER},
    "read": {"sam", "foreign", *OF_OWNER},
    "payer": OF_OWNER,
    "owner": IN_TEAM,
    "admin": IN_TEAM,
    "member": MINE,
    "viewer": IN_TEAM,
    "stranger": {"sam"},
    "nobody": set(),
}
"""The requests that each may see: of the owner, of the team, of their own keys in it, of what is theirs alone."""


@pytest.fixture
async def used(world: World) -> World:
    """A request of every key; one of a team that is gone, and two of other owners, one in a team of the same name."""
    for number, (name, key_id) in enumerate(world.keys.items()):
        key = await world.parts.keyring.get(key_id)
        assert key is not None
        await write(world.connection, Told(name, key, NOW_MS + number, State.REPORTED, 10 + number))
    for name, key in (("sam", OTHER), ("gone", OLD_MEMBER), ("foreign", FOREIGN)):
        await write(world.connection, Told(name, key, NOW_MS, State.REPORTED, 3, status=500))
    return world


async def listed(world: World, who: str, **filtered: Any) -> set[str]:
    """The requests that they are told of, in pages of two."""
    found: list[str] = []
    cursor = ""
    while True:
        page = await world.does(EVERYONE[who], "ListRequests", filter=filtered, page_size=2, cursor=cursor)
        found += [each.request_id for each in page.requests]
        cursor = page.next_cursor
        if not cursor:
            assert len(found) == len(set(found))
            return set(found)


async def exported(world: World, who: str, kind: str, **filtered: Any) -> bytes:
    """The file that they get."""
    asked = request("ExportRequests", format=kind, filter=filtered)
    return b"".join([each.data async for each in world.admin.stream("ExportRequests", asked, EVERYONE[who])])


@pytest.mark.parametrize("who", SEEN)
async def test_everyone_sees_what_their_role_says(used: World, who: str) -> None:
    """In lists, sums and exports alike; by its id, a request is there for those alone who see it in lists."""
    assert await listed(used, who) == SEEN[who]
    totals = await used.does(EVERYONE[who], "GetTotals", by="member")
    assert (totals.all.requests, sum(each.requests for each in totals.totals)) == (len(SEEN[who]), len(SEEN[who]))
    lines = (await exported(used, who, "jsonl")).splitlines()
    assert {json.loads(line)["request_id"] for line in lines} == SEEN[who]
    for request_id in SEEN["operator"]:
        if request_id in SEEN[who]:
            found = await used.does(EVERYONE[who], "GetRequest", request_id=request_id)
            assert found.request_id == request_id
        else:
            code, message = await used.refused(EVERYONE[who], "GetRequest", request_id=request_id)
            assert (code, message) == ("NOT_FOUND", f"there is no request {request_id!r}")


async def test_a_filter_shows_nobody_more(used: World) -> None:
    """Whoever asks for another's requests by name finds none."""
    assert await listed(used, "stranger", owner=OWNER) == set()
    assert await listed(used, "member", member="vic") == set()
    assert await listed(used, "member", team=TEAM) == MINE
    assert await listed(used, "admin", key_id=used.keys["payer"]) == set()
    assert await listed(used, "payer", owner="sam") == set()
    assert await listed(used, "operator", status="5xx") == {"sam", "gone", "foreign"}


async def test_who_leaves_a_team_sees_it_no_longer(used: World) -> None:
    """From the next question on."""
    await used.does(OPERATOR, "RemoveMember", owner=OWNER, team=TEAM, member="mia")
    assert await listed(used, "member") == set()


STATUS = "there is no status 'y'; say one, such as 200, or a class, such as 4xx"
MOMENT = "{} must be Unix milliseconds, 0 or more, before the year 9999"
BYS = "by is one of day, model, key, member, team, group, owner"
CURSOR = "there is no cursor 'x': give the next_cursor of a page, or none"
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("ListRequests", {"filter": {"status": "y"}}, STATUS),
    ("ListRequests", {"filter": {"from_ms": -1}}, MOMENT.format("from_ms")),
    ("ListRequests", {"filter": {"until_ms": 1 << 60}}, MOMENT.format("until_ms")),
    ("ListRequests", {"page_size": 1001}, "page_size is 1001, and must be from 0 to 1000"),
    ("ListRequests", {"cursor": "x"}, CURSOR),
    ("ListChanges", {"cursor": "x"}, CURSOR),
    ("ListChanges", {"page_size": -1}, "page_size is -1, and must be from 0 to 1000"),
    ("GetTotals", {"by": ""}, BYS),
    ("GetTotals", {"by": "hour"}, BYS),
    ("GetTotals", {"by": "day", "filter": {"status": "y"}}, STATUS),
    ("ExportRequests", {"format": "xlsx"}, "format is one of csv, jsonl, parquet"),
    ("ExportRequests", {"format": "csv", "filter": {"status": "y"}}, STATUS),
    ("FollowRequests", {"filter": {"status": "y"}}, STATUS),
]


@pytest.mark.parametrize(("verb", "fields", "message"), BAD)
async def test_what_cannot_be_asked_is_refused(world: World, verb: str, fields: dict[str, Any], message: str) -> None:
    """In words that say what can be."""
    assert await world.refused(OPERATOR, verb, **fields) == ("INVALID_ARGUMENT", message)


async def test_what_was_just_settled_is_there(world: World) -> None:
    """In a list, by its id, and in a sum, without any pause."""
    key = await world.parts.keyring.get(world.keys["mia"])
    assert key is not None
    for number in range(5):
        await write(world.connection, Told(f"r{number}", key, NOW_MS, State.PARTIAL, 10))
        assert f"r{number}" in await listed(world, "member")
        await write(world.connection, Told(f"r{number}", key, NOW_MS, State.REPORTED, 2))
        found = await world.does(EVERYONE["member"], "GetRequest", request_id=f"r{number}")
        assert (found.cost_nano, found.usage_source) == (12, "reported")
        totals = await world.does(EVERYONE["payer"], "GetTotals", by="key", filter={"key_id": key.key_id})
        assert totals.all.cost_nano == 5 + 12 * (number + 1)


@pytest.mark.parametrize("who", ["operator", "member", "stranger"])
async def test_followers_are_told_of_what_ends_from_now_on(used: World, who: str) -> None:
    """Each request that they may see, once, however often it is corrected; not what had ended before."""
    following = used.admin.stream("FollowRequests", request("FollowRequests"), EVERYONE[who])
    mia = await used.parts.keyring.get(used.keys["mia"])
    payer = await used.parts.keyring.get(used.keys["payer"])
    assert mia is not None
    assert payer is not None
    rest = [
        Told("new1", payer, NOW_MS, State.REPORTED, 1),
        Told("new2", mia, NOW_MS, State.PARTIAL, 1),
        Told("new2", mia, NOW_MS, State.REPORTED, 1),
        Told("new3", OTHER, NOW_MS, State.REPORTED, 1),
        Told("new4", mia, NOW_MS, State.REPORTED, 1),
        Told("new5", OTHER, NOW_MS, State.REPORTED, 1),
    ]
    seen = {"operator": [1, 2, 3, 4, 5], "member": [2, 4], "stranger": [3, 5]}[who]
    async with asyncio.timeout(30):
        found = [await begun(used, following)]
        await write(used.connection, *rest)
        while len([each for each in found if each.startswith("new")]) < len(seen):
            found.append((await anext(following)).request_id)
    assert sorted(found) == sorted({*found})
    assert sorted(each for each in found if each.startswith("new")) == [f"new{number}" for number in seen]
    assert not SEEN[who] & {*found}
    await close(following)


async def begun(world: World, following: AsyncIterator[Any]) -> str:
    """Wait until it is looked for what comes: the first request that is told of, of one that comes again and again."""
    mia = await world.parts.keyring.get(world.keys["mia"])
    assert mia is not None
    told = asyncio.ensure_future(anext(following))
    for number in count():
        await write(world.connection, Told(f"mia{number}", mia, NOW_MS, State.REPORTED, 1))
        await write(world.connection, Told(f"sam{number}", OTHER, NOW_MS, State.REPORTED, 1))
        await asyncio.wait([told], timeout=0.05)
        if told.done():
            break
    return str((await told).request_id)


async def close(following: AsyncIterator[Any]) -> None:
    """The caller leaves."""
    await following.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("at_once", [1, 3, 1000])
async def test_every_format_has_the_same_requests(used: World, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oldest first, with exact costs, whatever is read and written at once."""
    monkeypatch.setattr(index_module, "EXPORTED_AT_ONCE", at_once)
    monkeypatch.setattr(export, "ROWS_IN_GROUP", 2)
    monkeypatch.setattr(export, "CHUNK_BYTES", 100)
    lines = [json.loads(line) for line in (await exported(used, "operator", "jsonl")).splitlines()]
    table = parquet.read_table(io.BytesIO(await exported(used, "operator", "parquet")))
    rows = list(csv.DictReader(io.StringIO((await exported(used, "operator", "csv")).decode())))
    assert [each["time_ms"] for each in lines] == sorted(each["time_ms"] for each in lines)
    assert {each["request_id"] for each in lines} == SEEN["operator"]
    assert table.to_pylist() == lines
    assert tuple(lines[0]) == COLUMNS
    assert [{name: plain(value) for name, value in each.items()} for each in lines] == rows
    assert {each["cost_nano"]: each["cost_usd"] for each in lines}[11] == "0.000000011"


def plain(value: Any) -> str:
    """As CSV has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


@pytest.mark.parametrize("kind", TYPES)
async def test_an_export_of_nothing_is_a_file_too(world: World, kind: str) -> None:
    """With its columns; every piece says what it is."""
    asked = request("ExportRequests", format=kind, filter={"model": "none"})
    found = [each async for each in world.admin.stream("ExportRequests", asked, OPERATOR)]
    data = b"".join(each.data for each in found)
    assert {each.content_type for each in found} <= {TYPES[kind]}
    match kind:
        case "csv":
            assert data.decode() == ",".join(COLUMNS) + "\n"
        case "jsonl":
            assert data == b""
        case "parquet":
            assert parquet.read_table(io.BytesIO(data)).column_names == list(COLUMNS)


async def test_parquet_without_pyarrow_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words that say what to install; the other formats do without."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, message = await world.refused(OPERATOR, "ExportRequests", format="parquet")
    assert (code, message.partition(":")[2].split(".")[0]) == ("INVALID_ARGUMENT", " pip install 'tollgate[parquet]'")
    assert await exported(world, "operator", "csv")


CHANGES: dict[str, set[str]] = {
    "operator": {OWNER, "sam", ""},
    "read": {OWNER, "sam", ""},
    "payer": {OWNER},
    "stranger": {"sam"},
    "owner": set(),
    "nobody": set(),
}


@pytest.mark.parametrize("who", CHANGES)
async def test_people_see_changes_of_what_is_theirs_as_owners(world: World, who: str) -> None:
    """Operators see those of everybody, and of tokens, which nobody owns."""
    await world.does(OPERATOR, "EditOwner", owner="sam", tier="gold")
    found = (await world.does(EVERYONE[who], "ListChanges")).changes
    assert {change.owner for change in found} == CHANGES[who]
    for owner in (OWNER, "sam"):
        told = (await world.does(EVERYONE[who], "ListChanges", owner=owner)).changes
        assert {change.owner for change in told} == CHANGES[who] & {owner}
    of_key = (await world.does(EVERYONE[who], "ListChanges", of=world.keys["mia"])).changes
    assert [change.what for change in of_key] == (["key.create"] if OWNER in CHANGES[who] else [])


async def test_totals_of_teams_name_their_owner(used: World) -> None:
    """Two owners' teams of one name are not one."""
    found = await used.does(OPERATOR, "GetTotals", by="team")
    assert {each.of: each.requests for each in found.totals} == {
        f"{OWNER}/{TEAM}": 6,
        f"elsewhere/{TEAM}": 1,
        f"{OWNER}/gone": 1,
        "": 2,
    }
