"""Usage, requests and changes on the command line, straight on Redis and through the admin API."""

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from extproc.core.identity import KeyRecord
from extproc.core.ledger import State
from extproc.store.connection import Connection
from tests.cli.commands import Tollgate
from tests.index.samples import HOUR_MS, Told, write
from tests.store.redis_server import RedisServer

START_MS = 1_795_305_600_000
"""2026-11-22 00:00 UTC."""

CI = KeyRecord("key_ci", "acme", "sk-ci", "ci", "main", team="red", member="bob")
WEB = KeyRecord("key_web", "umbrella", "sk-web", "web", "main")
SETTLED = [
    Told("r-1", CI, START_MS, State.REPORTED, 1_000_000_000),
    Told("r-2", CI, START_MS + 72 * HOUR_MS, State.REPORTED, 4_000_000_000, model="claude"),
    Told("r-3", WEB, START_MS + 73 * HOUR_MS, State.RELEASED, 0, status=429, channel=None),
]


def settle(server: RedisServer, *told: Told) -> None:
    """Let requests have ended so."""

    async def connected() -> None:
        async with aclosing(Connection(server.url)) as connection:
            await write(connection, *told)

    asyncio.run(connected())


@pytest.fixture
def used(server: RedisServer, either: Tollgate) -> Tollgate:
    """The command line of a gateway with three requests."""
    settle(server, *SETTLED)
    return either


USAGE = """\
day         requests  failed  input  cached  output      cost
2026-11-22         1       0      7       3       3  1.00 USD  █████████▎
2026-11-23         0       0      0       0       0  0.00 USD
2026-11-24         0       0      0       0       0  0.00 USD
2026-11-25         2       1     14       6       6  4.00 USD  █████████████████████████████████████
in all             3       1     21       9       9  5.00 USD
"""


def test_usage_has_a_bar_for_every_day(used: Tollgate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as the terminal lets it, and readable without a colour; days without a request are among them."""
    said = used("usage")
    assert [line.rstrip() for line in said.out.splitlines()] == USAGE.splitlines()
    widths = {}
    for columns in (80, 100, 160):
        monkeypatch.setenv("COLUMNS", str(columns))
        widths[columns] = used("usage").out.count("█")
        assert max(map(len, used("usage").out.splitlines())) <= columns
    assert widths[80] < widths[100] < widths[160]


BY = {
    "model": {"gpt": 1_000_000_000, "claude": 4_000_000_000},
    "key": {"key_ci": 5_000_000_000, "key_web": 0},
    "owner": {"acme": 5_000_000_000, "umbrella": 0},
    "group": {"main": 5_000_000_000},
}


@pytest.mark.parametrize("by", BY)
def test_usage_is_summed_by_what_is_asked(used: Tollgate, by: str) -> None:
    """With the sum of all beside."""
    found = used.json("usage", "--by", by)
    assert {each["of"]: each["cost_nano"] for each in found["totals"]} == BY[by]
    assert (found["all"]["requests"], found["all"]["cost_nano"]) == (3, 5_000_000_000)


WHICH = [
    (("--owner", "acme"), ["r-2", "r-1"]),
    (("--owner", "acme", "--team", "red", "--member", "bob"), ["r-2", "r-1"]),
    (("--key", "key_web"), ["r-3"]),
    (("--model", "claude"), ["r-2"]),
    (("--status", "4xx"), ["r-3"]),
    (("--channel", "a"), ["r-2", "r-1"]),
    (("--since", "2026-11-23"), ["r-3", "r-2"]),
    (("--until", "2026-11-23T00:00+00:00"), ["r-1"]),
    (("--limit", "1"), ["r-3"]),
    (("--owner", "nobody"), []),
]


@pytest.mark.parametrize(("which", "expected"), WHICH, ids=lambda value: " ".join(value))
def test_requests_are_listed_by_what_is_asked(used: Tollgate, which: tuple[str, ...], expected: list[str]) -> None:
    """The newest first, for scripts and for people."""
    assert [request["request_id"] for request in used.json("logs", *which)] == expected
    said = used("logs", *which).out
    assert [each for each in ("r-3", "r-2", "r-1") if each in said] == expected


def test_one_request_is_told_field_by_field(used: Tollgate) -> None:
    """By its id; one that nobody knows is said to be unknown."""
    assert used.json("logs", "r-2")["cost_nano"] == 4_000_000_000
    rows = {row[0]: row[1:] for row in used("logs", "r-2").rows}
    assert (rows["owner"], rows["cost"], rows["member"]) == (["acme"], ["4.00", "USD"], ["bob"])
    assert "there is no request 'nope'" in used("logs", "nope").err


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_an_export_is_a_whole_file(used: Tollgate, tmp_path: Path, ending: str) -> None:
    """All that match, the oldest first; what was there before is replaced, and nothing else is left."""
    file = tmp_path / f"usage.{ending}"
    file.write_text("before")
    file.with_name(f"{file.name}.part").write_text("left by one that was killed")
    said = used.json("logs", "--export", file, "--owner", "acme")
    assert said == {"file": str(file), "format": ending, "bytes": file.stat().st_size}
    read: Any = {
        "csv": lambda data: list(csv.DictReader(io.StringIO(data.decode()))),
        "jsonl": lambda data: [json.loads(line) for line in data.splitlines()],
        "parquet": lambda data: parquet.read_table(io.BytesIO(data)).to_pylist(),
    }[ending]
    assert [row["request_id"] for row in read(file.read_bytes())] == ["r-1", "r-2"]
    assert os.listdir(tmp_path) == [file.name]


def test_an_export_that_is_refused_leaves_what_was_there(used: Tollgate, tmp_path: Path) -> None:
    """Also where the folder is none."""
    file = tmp_path / "usage.csv"
    file.write_text("before")
    assert used("logs", "--export", file, "--status", "many").code == 1
    assert (file.read_text(), os.listdir(tmp_path)) == ("before", [file.name])
    said = used("logs", "--export", tmp_path / "nowhere" / "usage.csv")
    assert (said.code, "cannot be written: No such file or directory" in said.err) == (1, True)


@pytest.mark.usefixtures("used")
def test_requests_are_followed_until_ctrl_c(server: RedisServer) -> None:
    """Those that end from then on, each on a line, at once."""
    # a shell starts what runs in the background deaf to Ctrl-C
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = f"{heard}\nfrom extproc.__main__ import main; main()"
    command = [sys.executable, "-c", run, "logs", "--follow", "--owner", "acme"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Ctrl-C stops" in process.stderr.readline()
        lines: list[str] = []
        number, give_up = 100, time.monotonic() + 30
        os.set_blocking(process.stdout.fileno(), False)
        while not lines and time.monotonic() < give_up:
            number += 1  # what ends before it looks for the first time is not followed
            settle(server, Told(f"r-{number}", CI, START_MS, State.REPORTED, 5))
            lines += process.stdout.readlines()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert lines[0].split()[3].startswith("r-")
    assert "0.000000005 USD" in lines[0]
    assert process.returncode == 130, said


def test_changes_tell_who_changed_what(either: Tollgate) -> None:
    """The newest first: as it was and as it is, of one thing or of all that is an owner's."""
    key_id = either.key("acme", "--name", "ci")
    either("keys", "edit", key_id, "--cap", "5")
    either("owners", "set", "acme", "--suspend")
    found = either.json("changes", "--owner", "acme")
    assert [change["what"] for change in found] == ["owner.edit", "key.edit", "key.create"]
    assert len({change["who"] for change in found}) == 1
    assert found[0]["who"].startswith(("local:", "token:tok_"))
    (edit,) = [row for row in either("changes", "--of", key_id).out.splitlines() if "key.edit" in row]
    assert edit.rstrip().endswith("cap 0.00 USD → 5.00 USD")
    assert [change["what"] for change in either.json("changes", "--limit", "1")][:1] == ["owner.edit"]


def test_a_change_of_a_team_names_the_member_and_what_is_another_now(either: Tollgate) -> None:
    """And leaves out everybody else."""
    either("teams", "create", "acme", "red")
    either("teams", "members", "set", "acme", "red", "ada", "--role", "admin")
    for quota in ("50", "60"):
        either("teams", "members", "set", "acme", "red", "ben", "--quota", quota)
    either("teams", "members", "remove", "acme", "red", "ben", "--yes")
    told = either("changes", "--of", "red").out.splitlines()[1:]
    assert [line.split("  ")[-1].strip() if line.strip() else "" for line in map(str.rstrip, told)] == [
        "members ben: removed",
        "members ben: quota 50.00 USD → 60.00 USD",
        "members ben: role member quota 50.00 USD",
        "members ada: role admin quota none",
        "owner acme, team red, quota none",
    ]


def test_a_trace_is_whole_on_a_narrow_terminal(
    server: RedisServer, tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are longer than most terminals are wide."""
    settle(server, *SETTLED)
    wide = tollgate("trace", "r-1", "--owner", "acme").out
    monkeypatch.setenv("COLUMNS", "40")
    assert tollgate("trace", "r-1", "--owner", "acme").out == wide
    assert max(map(len, wide.splitlines())) > 40
