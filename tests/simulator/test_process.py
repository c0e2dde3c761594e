"""`python -m extproc.simulator`."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

_COMMAND = [sys.executable, "-m", "extproc.simulator", "--port", "0", "--received"]


@pytest.fixture
def received(tmp_path: Path) -> Path:
    """The file it writes what it received to."""
    return tmp_path / "received.jsonl"


@pytest.fixture
def process(received: Path) -> Iterator[subprocess.Popen[str]]:
    """A simulator of its own, on a free port."""
    process = subprocess.Popen([*_COMMAND, str(received)], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().split()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_told(process: subprocess.Popen[str], received: Path, number: signal.Signals) -> None:
    """It says where it listens, answers, logs a line without prompt and credentials, and ends on a signal with 0."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "my-prompt here"}]}).encode()
    request = urllib.request.Request(f"{_url(process)}/a/v1/chat/completions", body, {"x-api-key": "my-secret"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["usage"]["prompt_tokens"] == 2
    process.send_signal(number)
    assert process.wait(20) == 0
    log = received.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [(line["vendor"], line["ended"], line["process"]) for line in lines] == [
        ("a", None, process.pid),
        ("a", "clean", process.pid),
    ]
    assert "my-prompt" not in log
    assert "my-secret" not in log


def test_port_taken(process: subprocess.Popen[str]) -> None:
    """A port that is taken is one clear line and exit 1."""
    port = _url(process).rpartition(":")[2]
    command = [sys.executable, "-m", "extproc.simulator", "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("simulator: ")
    assert second.stderr.count("\n") == 1
