"""Workers on another machine, and an Envoy that is let go: `serve --worker-listen`, `--other-workers`, `drain`."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from extproc import envoy_admin
from extproc.binaries import envoy_binary
from tests.e2e.harness import HTTP, READY_SECONDS, Customer, Gateway, eventually, free_port

CONFIG = Path(__file__).parents[2] / "config"
NO_OTHER_PORTS = {f"TOLLGATE_{name}_PORT": "0" for name in ("TLS", "METRICS", "ENVOY_METRICS", "ADMIN")}
STREAM = {"chunks": 20, "delay_ms": 100}


@dataclass(frozen=True)
class Apart:
    """An Envoy with a worker beside it, which asks the worker of a second `serve`."""

    gateway: Gateway
    far: subprocess.Popen[bytes]
    data: Path
    url: str

    def call(self, customer: Customer) -> int:
        """The status of a plain call."""
        return HTTP.post(f"{self.url}/v1/chat/completions", json=body(), headers=bearer(customer)).status_code

    def asked(self) -> dict[str, int]:
        """How many calls Envoy's workers were asked for, by their address."""
        told = envoy_admin.ask(self.data / "run" / "admin.sock", "/clusters?filter=^sidecar$")
        return {host: int(count) for host, count in re.findall(r"^sidecar::(.+)::rq_total::(\d+)$", told, re.MULTILINE)}

    def healthy(self) -> int:
        """How many workers Envoy finds healthy."""
        with contextlib.suppress(OSError):
            seen = envoy_admin.stats(self.data / "run" / "admin.sock", "sidecar.membership_healthy")
            return int(seen.get("cluster.sidecar.membership_healthy", 0))
        return 0


def bearer(customer: Customer) -> dict[str, str]:
    """The header that carries the key."""
    return {"authorization": f"Bearer {customer.key}"}


def body(stream: bool = False) -> dict[str, object]:
    """A chat; a stream takes two seconds."""
    words = f"Hello [[sim {json.dumps(STREAM)}]]" if stream else "Hello"
    return {"model": "gpt-5-mini", "stream": stream, "messages": [{"role": "user", "content": words}]}


@contextlib.contextmanager
def serve(gateway: Gateway, data: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tollgate serve` with the ledger, the pepper and the vendor of this gateway."""
    config = shutil.copytree(CONFIG, data / "config")
    channels = config / "channels.yaml"
    channels.write_text(channels.read_text().replace("${TOLLGATE_DEMO_PORT:-9100}", str(gateway.settings.demo_port)))
    command = [sys.executable, "-m", "extproc", "serve", "--json", "--config", str(config), "--data", str(data)]
    command += ["--redis", gateway.settings.redis_url, "--workers", "1", *options]
    environment = {**os.environ, **NO_OTHER_PORTS, "TOLLGATE_PEPPER": (gateway.settings.data / "pepper").read_text()}
    said = data / "serve.log"
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        eventually(lambda: process.poll() is not None or b'"run"' in said.read_bytes(), "serve", READY_SECONDS)
        assert process.poll() is None, said.read_text()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextlib.contextmanager
def envoy(run: Path) -> Iterator[None]:
    """The Envoy of this run folder."""
    command = [str(envoy_binary()), "-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1"]
    with (run.parent / "envoy.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=run, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def apart(demo: Gateway, tmp_path: Path) -> Iterator[Apart]:
    """All of it, ready: Envoy has found both workers."""
    port, far_port = free_port(), free_port()
    with (
        serve(demo, tmp_path / "far", "--worker-listen", f"127.0.0.1:{far_port}") as far,
        serve(demo, tmp_path / "near", "--port", str(port), "--other-workers", f"localhost:{far_port}"),
        envoy(tmp_path / "near" / "run"),
    ):
        running = Apart(demo, far, tmp_path / "near", f"http://127.0.0.1:{port}")
        eventually(lambda: running.healthy() == 2, "Envoy to find both workers", READY_SECONDS)
        yield running


def test_workers_elsewhere_are_asked_first_and_may_end(apart: Apart) -> None:
    """The worker of another machine decides, over TCP; it ends, no call fails, and the one beside Envoy decides.

    Then the Envoy is drained, and what is under way ends whole: `tollgate drain` waits for a stream, and no longer.
    """
    customer = apart.gateway.customer()
    assert [apart.call(customer) for _ in range(5)] == [200] * 5
    assert apart.asked()["worker-0.sock"] == 0
    apart.far.send_signal(signal.SIGTERM)
    while apart.far.poll() is None:
        assert apart.call(customer) == 200
    assert apart.call(customer) == 200
    assert apart.asked()["worker-0.sock"] > 0

    command = [sys.executable, "-m", "extproc", "drain", "--data", str(apart.data), "--at-least", "0"]
    with httpx.stream(
        "POST", f"{apart.url}/v1/chat/completions", json=body(stream=True), headers=bearer(customer), trust_env=False
    ) as answer:
        lines = answer.iter_lines()
        next(lines)
        draining = subprocess.Popen(command)
        assert apart.call(customer) == 200
        assert draining.poll() is None
        assert [line for line in lines if line][-1] == "data: [DONE]"
    assert draining.wait(30) == 0
