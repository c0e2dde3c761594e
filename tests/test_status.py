"""What `tollgate status` finds wrong. Files are written as parent and workers write them; nobody else is there."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.clock import now_ms
from extproc.core.catalog import Catalog
from extproc.core.identity import KeyRecord
from extproc.core.ledger import Hold
from extproc.errors import ConfigError
from extproc.settings import Settings, make_settings
from extproc.snapshot import Accepted, Current, publish
from extproc.status import Live, read_status, write_live
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.wire.spool import Spool
from tests.store.redis_server import RedisServer
from tests.wire.test_journal import Files, line
from tests.wire.test_reports import release

NOBODY = 2**22 + 1
"""Above the highest process id that Linux gives."""

JUST_NOW = now_ms() + 86_400_000
"""However long the tests before this one take."""

LIVE = Live(os.getpid(), "/yaml", 1, "r1", 0, "r1-0", [], [], None, None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data folder in which one worker has adopted revision r1."""
    settings = make_settings(tmp_path, tmp_path / "data", None, workers=1)
    settings.run.mkdir(parents=True)
    publish(settings.run, Accepted(Catalog.of("r1", {}, {}, {}), 0))
    Current(settings.run, 0)
    return settings


async def wrong(settings: Settings) -> list[str]:
    """What is wrong, but for Envoy and Redis, who are not there."""
    found = (await read_status(settings)).wrong
    assert [sentence for sentence in found if sentence.startswith("Envoy does not answer")]
    assert [sentence for sentence in found if sentence.startswith("Redis does not answer")]
    return [sentence for sentence in found if "does not answer" not in sentence]


@pytest.mark.parametrize(
    ("told", "sentences"),
    [
        ({}, []),
        ({"problems": ["groups.yaml:1: …"]}, ["/yaml is broken; what was accepted before stays live."]),
        ({"waiting_revision": "r2", "waiting_since_ms": JUST_NOW}, []),
        (
            {"waiting_revision": "r2", "waiting_since_ms": 0},
            ["Revision r2 waits for Envoy to take up its clusters."],
        ),
        ({"since_ms": JUST_NOW}, []),
        ({"since_ms": 1}, ["worker-0 still decides by revision r1."]),
        ({"workers": 2}, ["worker-1 does not run."]),
    ],
)
async def test_what_is_wrong(settings: Settings, told: dict[str, object], sentences: list[str]) -> None:
    """A broken folder at once; what is under way only when it takes too long."""
    fields = {name: getattr(LIVE, name) for name in LIVE.__struct_fields__}
    write_live(settings.run, Live(**{**fields, **told}))
    assert await wrong(settings) == sentences


@pytest.mark.parametrize("pid", [None, NOBODY])
async def test_nobody_runs(settings: Settings, pid: int | None) -> None:
    """Without a parent, or with one that was killed, what is in the run folder counts for nothing."""
    if pid is not None:
        fields = {name: getattr(LIVE, name) for name in LIVE.__struct_fields__}
        write_live(settings.run, Live(**{**fields, "pid": pid}))
    assert await wrong(settings) == [f"No tollgate runs with the data folder {settings.data}."]
    assert (await read_status(settings)).live is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_somebody_elses_folder(settings: Settings) -> None:
    """Who may not look is told whom to ask."""
    write_live(settings.run, LIVE)
    settings.run.chmod(0)
    with pytest.raises(ConfigError, match="ask as the user that runs tollgate"):
        await read_status(settings)
    settings.run.chmod(0o700)


async def test_what_waits_is_wrong_when_it_waits_too_long(settings: Settings) -> None:
    """A report in the spool at once; a line of the journal when it is more than a minute old."""
    write_live(settings.run, LIVE)
    files = Files(settings.data)
    files.append(line("fresh", ended_ms=JUST_NOW))
    assert await wrong(settings) == []

    files.current.unlink()
    files.append(line("old", ended_ms=now_ms() - 100_000))
    Spool(settings.spool, 0).append(release("h"))
    waiting, behind = await wrong(settings)
    assert waiting == "Reports of ended requests wait in the spool to be settled: 1."
    assert behind.startswith("Envoy's journal is read 100 s late, ")


async def test_a_redis_that_may_lose_money_is_wrong(settings: Settings, tmp_path: Path) -> None:
    """It keeps no file, and a hold is overdue: a sentence for each."""
    server = RedisServer(tmp_path)
    server.start()
    try:
        connection = Connection(server.url)
        await RedisKeyring(connection).put(KeyRecord("k", "ada", "sk-", "", "g"), replaces=0)
        await RedisLedger(connection).hold(Hold("h", "ada", "k", 1, (), 0, 0, deadline_ms=now_ms() - 70_000))
        await connection.aclose()
        found = (await read_status(replace(settings, redis_url=server.url))).wrong
    finally:
        server.kill()
    assert [sentence.partition(" (")[0] for sentence in found if "Redis" in sentence] == [
        "Redis keeps no append-only file"
    ]
    assert [
        sentence for sentence in found if re.fullmatch("A hold should have expired 7. s ago, and nobody.*", sentence)
    ]
