"""The parts of a running gateway: killed, frozen, and well again. `tollgate up` starts again what dies."""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum

import httpx

from extproc import envoy_admin
from extproc.clock import now_ms
from extproc.core.ledger import bucket_of
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.learned import DAY_MS
from tests.e2e.harness import HTTP, Customer, Gateway, eventually

RECOVER_SECONDS = 60.0
QUIET_SECONDS = 1.5
"""What Envoy and the workers need to write down what has just happened, many times over."""

WORKER_PROCESS = "extproc.app"
REDIS_PROCESS = "redis-server"


class Part(StrEnum):
    """What the fault strikes: a process that is killed, or the caller's connection."""

    SIDECAR = "sidecar"
    WORKER = "one worker"
    ENVOY = "Envoy"
    REDIS = "Redis"
    VENDOR = "vendor"
    CLIENT_FIN = "client (FIN)"
    CLIENT_RST = "client (RST)"


PROCESS = {
    Part.SIDECAR: WORKER_PROCESS,
    Part.WORKER: WORKER_PROCESS,
    Part.ENVOY: "envoy.yaml",
    Part.REDIS: REDIS_PROCESS,
    Part.VENDOR: "extproc.simulator",
}


def kill(gateway: Gateway, part: Part) -> None:
    """kill -9, and wait until it is gone."""
    pids = gateway.pids(PROCESS[part])
    assert pids, f"no process of {part}"
    killed = pids[:1] if part is Part.WORKER else pids
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: set(gateway.pids(PROCESS[part])).isdisjoint(killed), f"{part} to be gone")


@contextlib.contextmanager
def frozen(gateway: Gateway, process: str) -> Iterator[None]:
    """These processes do nothing inside the block; those that are left then go on."""
    pids = gateway.kill(process, signal.SIGSTOP)
    assert pids, f"no {process}"
    try:
        eventually(lambda: all(map(_stopped, pids)), f"{process} to stop")
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def recover(gateway: Gateway, anybody: Customer) -> None:
    """Wait until all parts are well: a request that needs Envoy, a worker and Redis is answered, and the vendor is."""
    eventually(lambda: well(gateway, anybody), "all parts to be well", RECOVER_SECONDS)


def well(gateway: Gateway, anybody: Customer) -> bool:
    """Whether Envoy sees every worker, all sockets are there, and everybody answers."""
    sockets = map(gateway.settings.worker_socket, range(gateway.settings.workers))
    if len(gateway.pids(WORKER_PROCESS)) < gateway.settings.workers or not all(map(_accepts, map(str, sockets))):
        return False
    with contextlib.suppress(httpx.TransportError):
        asked = HTTP.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {anybody.key}"}, timeout=5)
        vendor = HTTP.get(f"{gateway.simulator_url}/_sim/paused", timeout=5)
        return asked.status_code == vendor.status_code == 200 and gateway.workers_ready()
    return False


def asked_sidecar(gateway: Gateway) -> int:
    """How many messages Envoy has sent to the sidecar: one for a request's headers, one for its body."""
    name = "http.edge.ext_proc.stream_msgs_sent"
    return int(envoy_admin.stats(gateway.settings.run / "admin.sock", name).get(name, 0))


def paused(gateway: Gateway) -> int:
    """How many answers wait at the vendor."""
    return int(HTTP.get(f"{gateway.simulator_url}/_sim/paused").json()["paused"])


def resume(gateway: Gateway) -> None:
    """Let them go on, if the vendor is there."""
    with contextlib.suppress(httpx.TransportError):
        HTTP.post(f"{gateway.simulator_url}/_sim/resume")


def await_reports(gateway: Gateway, customers: Sequence[Customer]) -> None:
    """Wait until none of these holds anything, or whatever will be reported has been.

    That is when the journal is read to its end, no report waits on disk, and nothing has changed for a while.
    """
    seen, since = (0, 0), time.monotonic()

    def over() -> bool:
        nonlocal seen, since
        now = _live(gateway, customers), _waiting_bytes(gateway)
        if now != seen:
            seen, since = now, time.monotonic()
        return now == (0, 0) or (now[1] == 0 and time.monotonic() - since > QUIET_SECONDS)

    eventually(over, "all reports", RECOVER_SECONDS)


def _live(gateway: Gateway, customers: Sequence[Customer]) -> int:
    """How many requests of these customers are held."""
    names = [keys.key(bucket_of(customer.owner), customer.key_id) for customer in customers]

    async def count(redis: Connection) -> int:
        return sum([int(await redis.execute("HGET", name, "live") or 0) for name in names])

    return gateway._redis(count)


def _waiting_bytes(gateway: Gateway) -> int:
    """How much of the journal is still to be read, and of the spool to be told."""
    data = gateway.settings.data
    spooled = sum(path.stat().st_size for path in data.glob("spool/*/*.jsonl"))
    journal = sum(path.stat().st_size for path in data.glob("journal*.jsonl"))
    return spooled + journal - int(json.loads((data / "journal.position").read_text())["offset"])


def lessons(gateway: Gateway) -> int:
    """How many prompts and answers the workers have learned from together, and shared."""

    async def count(redis: Connection) -> int:
        days = [await redis.execute("HGETALL", keys.learned(now_ms() // DAY_MS - ago)) for ago in (0, 1)]
        return sum(int(number) for day in days for name, number in day.items() if name.endswith(":count"))

    return gateway._redis(count)


def _stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0
