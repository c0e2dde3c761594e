"""Tollgate as `tollgate up` runs it, Envoy alone, and the vendor itself, each until the end of its block."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Final

from extproc import envoy_admin
from extproc.binaries import envoy_binary
from tests.bench.cpu import Pids
from tests.bench.measure import Side
from tests.bench.money import Books, check_books
from tests.bench.peers.measure import Peer
from tests.bench.peers.others import JSON, PATH, running
from tests.e2e.harness import HTTP, Customer, Gateway, eventually, free_port, gateway

CONFIG: Final = Path(__file__).parents[3] / "config"
DEMO_PORT: Final = "${TOLLGATE_DEMO_PORT:-9100}"
MODELS: Final = {1: "gpt-5-mini", 2: "gpt-5-nano"}
"""What Tollgate with so many workers is asked for."""


LIMITS: Final = {f"TOLLGATE_RATE_PER_{whose}": str(10**9) for whose in ("CREDENTIAL", "ADDRESS")}
"""Envoy counts the requests of each minute as ever, and lets one caller ask for more than it would."""


@dataclass(frozen=True, slots=True)
class Tollgate:
    """A running gateway with the one customer it has."""

    peer: Peer
    gateway: Gateway
    customer: Customer

    def books(self) -> Books:
        """What was charged for all that was posted. Raises `AssertionError` when anything is not to the nano."""
        admin = self.gateway.settings.run / "admin.sock"
        side = Side(self.peer.name, self.gateway.url, self.customer.key, self.peer.model, admin, {}, self.peer.posted)
        return check_books(self.gateway, self.customer, side)


@contextlib.contextmanager
def simulator(folder: Path) -> Iterator[int]:
    """The vendor that all of them ask; its port."""
    port = free_port()
    with running([sys.executable, "-m", "extproc.simulator", "--port", port], folder / "simulator", {}) as process:
        log = folder / "simulator/log"
        eventually(lambda: process.poll() is not None or b"simulator on" in log.read_bytes(), "the simulator")
        assert process.poll() is None, log.read_text()
        yield port


@contextlib.contextmanager
def tollgate(folder: Path, vendor_port: int, workers: int) -> Iterator[Tollgate]:
    """Everything on, with a full wallet; Tollgate's own demo vendor is there too, and nobody asks it."""
    config = folder / f"config-{workers}"
    shutil.copytree(CONFIG, config)
    channels = config / "channels.yaml"
    channels.write_text(channels.read_text().replace(DEMO_PORT, str(vendor_port)))
    with gateway(config, folder / f"data-{workers}", workers, LIMITS) as started:
        customer = started.customer(usd="1000000")
        beside = Gateway(replace(started.settings, demo_port=vendor_port), started.process)
        name = f"Tollgate, {workers} worker{'s' if workers > 1 else ''}"
        headers = {**JSON, "authorization": f"Bearer {customer.key}"}
        peer = Peer(name, started.url + PATH, MODELS[workers], headers, lambda: _parts(started), checks_keys=True)
        yield Tollgate(peer, beside, customer)


@contextlib.contextmanager
def envoy_alone(folder: Path, vendor_port: int) -> Iterator[Peer]:
    """Envoy as Tollgate starts it, with nothing but a router."""
    port = free_port()
    bootstrap = folder / "plain.yaml"
    text = Path(__file__).with_name("envoy.yaml").read_text()
    bootstrap.write_text(Template(text).substitute(port=port, vendor_port=vendor_port))
    command = [envoy_binary(), "-c", bootstrap, "--log-level", "warning", "--concurrency", 2, "--disable-hot-restart"]
    with running(command, folder / "plain", {}) as process:
        eventually(lambda: process.poll() is not None or _is_live(folder / "plain/admin.sock"), "Envoy alone")
        assert process.poll() is None, (folder / "plain/log").read_text()
        yield Peer("Envoy alone", f"http://127.0.0.1:{port}{PATH}", "gpt-5", JSON, lambda: {"Envoy": [process.pid]})


def the_vendor(port: int) -> Peer:
    """No gateway at all: how fast wrk and the simulator are."""
    return Peer("(no gateway)", f"http://127.0.0.1:{port}/openai{PATH}", "direct", JSON, dict)


def requests_at_vendor(port: int, model: str) -> int:
    """How many answers for this model the vendor gave to their end."""
    totals = HTTP.get(f"http://127.0.0.1:{port}/_sim/totals").json()
    return int(totals.get(model, {}).get("requests", 0))


def _parts(started: Gateway) -> Pids:
    parts = {"sidecar": "extproc.app", "Envoy": "envoy.yaml", "Redis": "unixsocket"}
    return {**{part: started.pids(command) for part, command in parts.items()}, "supervisor": [started.process.pid]}


def _is_live(admin: Path) -> bool:
    try:
        return envoy_admin.ask(admin, "/ready").strip() == "LIVE"
    except OSError:
        return False
