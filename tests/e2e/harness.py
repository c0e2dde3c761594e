"""A whole gateway for tests: `tollgate up` as a process of its own, with the simulator as its vendor."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx

from extproc.clock import now_ms
from extproc.core import identity
from extproc.core.identity import KeyRecord
from extproc.core.ledger import Account, AccountKind, Balance, bucket_of
from extproc.core.money import parse_usd
from extproc.settings import Settings, load_pepper, make_settings
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.usage import usage_of_owner

T = TypeVar("T")

READY_SECONDS = 60.0
SETTLE_SECONDS = 20.0

NO_FLOOD = dict.fromkeys(("TOLLGATE_RATE_PER_CREDENTIAL", "TOLLGATE_RATE_PER_ADDRESS"), "4000000000")
"""All tests come from one address, and load tests by one key."""

HTTP = httpx.Client(trust_env=False, timeout=60)
"""One client for all: each of its own would cost a TLS context."""


@dataclass(frozen=True, slots=True)
class Customer:
    """An owner with a wallet and one key."""

    owner: str
    key: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway. `process` is `tollgate up`; its children are the parts."""

    settings: Settings
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where callers find it, without `/v1`."""
        return self.settings.base_url

    @property
    def simulator_url(self) -> str:
        """Where the simulator tells what it received."""
        return f"http://127.0.0.1:{self.settings.demo_port}"

    def customer(self, usd: str = "10", group: str = "default", cap_nano: int = 0, **terms: Any) -> Customer:
        """A new owner with so much in the wallet, and a key in this group. `terms` are further fields of KeyRecord."""
        plaintext, name = identity.new_plaintext(), f"owner-{secrets.token_hex(6)}"
        record = KeyRecord(f"key_{name}", name, plaintext[: identity.PREFIX_LENGTH], "test", group, **terms)
        record = KeyRecord(**{**{f: getattr(record, f) for f in record.__slots__}, "cap_nano": cap_nano})

        async def make(connection: Connection) -> None:
            await RedisKeyring(connection).create(record, identity.digest(load_pepper(self.settings), plaintext))
            if parse_usd(usd):
                await RedisLedger(connection).top_up(name, parse_usd(usd), "test", now_ms())

        self._redis(make)
        return Customer(name, plaintext, record.key_id)

    def say_of(self, customer: Customer, **said: Any) -> None:
        """Say this of the owner; it holds from the next request on. `said` are fields of OwnerRecord."""

        async def say(connection: Connection) -> None:
            keyring = RedisKeyring(connection)
            before = await keyring.owner(customer.owner)
            record = replace(before, **said, revision=before.revision + 1)
            assert await keyring.put_owner(record, replaces=before.revision)

        self._redis(say)

    def wallet(self, customer: Customer) -> Balance:
        """The wallet as it is now."""
        return self._balance(customer.owner, Account(AccountKind.WALLET, customer.owner))

    def key_account(self, customer: Customer) -> Balance:
        """The key's own account as it is now."""
        return self._balance(customer.owner, Account(AccountKind.KEY, customer.key_id))

    def settled(self, customer: Customer, records: int) -> list[dict[str, Any]]:
        """The usage records, once so many requests have ended and nothing is held any more; the wallet agrees."""
        ended = eventually(
            lambda: (
                found if len(found := self.usage(customer)) >= records and not self.wallet(customer).held_nano else []
            ),
            f"{records} usage records of {customer.owner}",
        )
        assert self.wallet(customer).used_nano == sum(entry["charged_nano"] for entry in ended)
        return ended

    def usage(self, customer: Customer) -> list[dict[str, Any]]:
        """The usage entries of an owner: the fields of UsageRecord, with `state`, `charged_nano`, `late`."""

        async def read(connection: Connection) -> list[dict[str, Any]]:
            return [
                {
                    **json.loads(entry.record or "{}"),
                    "state": entry.state.name,
                    "charged_nano": entry.cost_nano,
                    "late": entry.late,
                    "reporter": entry.reporter,
                    "request_id": entry.hold_id,
                }
                async for entry in usage_of_owner(connection, customer.owner)
            ]

        return self._redis(read)

    def received(self, vendor: str | None = None) -> list[dict[str, Any]]:
        """What the simulator received, oldest first; one vendor's where named."""
        params = {"vendor": vendor} if vendor else {}
        found: list[dict[str, Any]] = HTTP.get(f"{self.simulator_url}/_sim/received", params=params).json()
        return found

    def forget_received(self) -> None:
        """Empty the simulator's memory."""
        HTTP.delete(f"{self.simulator_url}/_sim/received")

    def pids(self, part: str) -> list[int]:
        """The processes whose command line contains this: `extproc.app`, `envoy.yaml`, `redis-server`, …"""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if parent == self.process.pid and part in command:
                    found.append(int(folder.name))
        return sorted(found)

    def kill(self, part: str, number: int = signal.SIGKILL) -> list[int]:
        """Signal these processes; their pids."""
        pids = self.pids(part)
        for pid in pids:
            os.kill(pid, number)
        return pids

    def workers_ready(self, count: int | None = None) -> bool:
        """Whether Envoy sees so many healthy workers."""
        from extproc import envoy_admin

        try:
            seen = envoy_admin.stats(self.settings.run / "admin.sock", "sidecar.membership_healthy")
        except OSError:
            return False
        return int(seen.get("cluster.sidecar.membership_healthy", 0)) >= (count or self.settings.workers)

    def on_ledger(self, work: Callable[[RedisLedger], Awaitable[T]]) -> T:
        """Do something on the ledger."""
        return self._redis(lambda connection: work(RedisLedger(connection)))

    def live(self, customer: Customer) -> int:
        """How many requests of a customer's key are under way."""
        name = keys.key(bucket_of(customer.owner), customer.key_id)
        return int(self._redis(lambda connection: connection.execute("HGET", name, "live")) or 0)

    def logs(self) -> str:
        """All logs, one after the other."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.settings.logs.glob("*.log")))

    def _balance(self, owner: str, account: Account) -> Balance:
        return self._redis(lambda connection: RedisLedger(connection).balance(owner, account))

    def _redis(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async def connected() -> T:
            async with contextlib.aclosing(Connection(self.settings.redis_url)) as connection:
                return await work(connection)

        return asyncio.run(connected())


def free_port() -> int:
    """A port of loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(found: Callable[[], T], what: str, seconds: float = SETTLE_SECONDS) -> T:
    """The first true value of `found`; fails saying `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.05)
    return value


@contextlib.contextmanager
def gateway(
    config: Path,
    data: Path,
    workers: int = 2,
    environment: Mapping[str, str] | None = None,
    metrics: bool = False,
    beside: "Gateway | None" = None,
    plain: bool = True,
    admin: bool = False,
) -> Iterator[Gateway]:
    """A gateway with this configuration, stopped at the end; it must then leave no process behind.

    With `metrics` it has ports for them, with `admin` one for the admin API. `beside` another it shares that one's
    Redis, pepper and vendors.
    """
    settings = make_settings(
        config,
        data,
        beside.settings.redis_url if beside else None,
        port=free_port() if plain else 0,
        demo_port=beside.settings.demo_port if beside else free_port(),
        workers=workers,
        tls_port=free_port(),
        metrics_port=free_port() if metrics else 0,
        envoy_metrics_port=free_port() if metrics else 0,
        admin_port=free_port() if admin else 0,
    )
    edge = settings.edge
    command = [sys.executable, "-m", "extproc", "up", "--json", "--config", str(config), "--data", str(data)]
    command += ["--port", str(edge.port), "--tls-port", str(edge.tls_port), "--demo-port", str(settings.demo_port)]
    command += ["--workers", str(workers), "--metrics-port", str(settings.metrics_port)]
    command += ["--envoy-metrics-port", str(edge.metrics_port), "--admin-port", str(edge.admin_port)]
    data.mkdir(parents=True, exist_ok=True)
    if beside:
        command += ["--redis", beside.settings.redis_url, "--no-demo"]
        (data / "pepper").write_bytes(load_pepper(beside.settings))
    said = data / "up.log"
    with said.open("wb") as output:
        environment = {**os.environ, **NO_FLOOD, **(environment or {})}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    running = Gateway(settings, process)
    try:
        eventually(
            lambda: process.poll() is not None or b'"base_url"' in said.read_bytes(), "the gateway", READY_SECONDS
        )
        assert process.poll() is None, said.read_text()
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
