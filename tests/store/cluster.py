"""A real Redis Cluster of its own for the tests, on loopback: three primaries, with a replica each if asked."""

import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from extproc.binaries import redis_binary
from tests.store.redis_server import RedisServer

PRIMARIES = 3
SLOTS = range(REDIS_CLUSTER_HASH_SLOTS)
PATIENCE_SECONDS = 30
FAILOVER_MS = 1_000
"""How long a primary is away before its replica is given its slots; without one, it is waited for."""

BUS = 10_000
"""How far above its port the others of a cluster speak to a server."""

ARGUMENTS = (
    *("--cluster-enabled", "yes"),
    *("--cluster-require-full-coverage", "no"),
    *("--cluster-replica-validity-factor", "0"),
    *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
)


class Cluster:
    """Its servers, the primaries first; the replica of server n is server n + 3."""

    def __init__(self, folder: Path, replicas: bool = False) -> None:
        self.servers = []
        timeout = ("--cluster-node-timeout", str(FAILOVER_MS if replicas else PATIENCE_SECONDS * 1000))
        for port in free_ports(PRIMARIES * (2 if replicas else 1)):
            (folder / str(port)).mkdir()
            self.servers.append(
                RedisServer(folder / str(port), port=port, arguments=(*ARGUMENTS, *timeout), binary=redis_binary())
            )

    @property
    def url(self) -> str:
        """Two of the servers, from which the others are learnt."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:2])

    def start(self) -> None:
        """Start the servers, bring them together and wait until every one of them knows who has what."""
        for epoch, server in enumerate(self.servers, 1):
            server.start()
            server.ask("CLUSTER SET-CONFIG-EPOCH", epoch)
            server.ask("CLUSTER MEET", "127.0.0.1", self.servers[0].port)
        for number in range(PRIMARIES):
            self.servers[number].ask("CLUSTER ADDSLOTS", *(slot for slot in SLOTS if owner(slot) == number))
        wait_until(lambda: self._all_say("cluster_known_nodes", str(len(self.servers))))
        for replica, primary in zip(self.servers[PRIMARIES:], self.servers, strict=False):
            replica.ask("CLUSTER REPLICATE", primary.ask("CLUSTER MYID"))
        wait_until(lambda: self._all_say("cluster_state", "ok"))
        wait_until(lambda: all(is_followed(primary) for primary in self.servers[: len(self.servers) - PRIMARIES]))

    def kill(self) -> None:
        """End every server at once."""
        for server in self.servers:
            server.kill()

    def flush(self) -> None:
        """Forget everything but the scripts."""
        for server in self.servers[:PRIMARIES]:
            server.flush()

    def primary_of(self, key: str) -> RedisServer:
        """The server that had the key's slot at the start."""
        return self.servers[owner(key_slot(key.encode()))]

    def _all_say(self, name: str, value: str) -> bool:
        return all(server.ask("CLUSTER INFO")[name] == value for server in self.servers)


class Migration:
    """The slot of a key on its way from one server to another, its keys moved one by one."""

    def __init__(self, cluster: Cluster, key: str) -> None:
        self.slot = key_slot(key.encode())
        self.source = cluster.servers[owner(self.slot)]
        self.target = cluster.servers[(owner(self.slot) + 1) % PRIMARIES]
        self._servers = cluster.servers[:PRIMARIES]

    def begin(self) -> None:
        """From now on the source sends who asks for a key that it does not have to the target."""
        self.target.ask("CLUSTER SETSLOT", self.slot, "IMPORTING", self.source.ask("CLUSTER MYID"))
        self.source.ask("CLUSTER SETSLOT", self.slot, "MIGRATING", self.target.ask("CLUSTER MYID"))

    def left(self) -> list[str]:
        """What has not moved yet."""
        return sorted(self.source.ask("CLUSTER GETKEYSINSLOT", self.slot, 10_000))

    def move(self, *keys: str) -> None:
        """Move these."""
        self.source.ask("MIGRATE", "127.0.0.1", self.target.port, "", 0, 5_000, "KEYS", *keys)

    def end(self) -> None:
        """Move the rest; the target has the slot, and everybody knows it."""
        while left := self.left():
            self.move(*left)
        for server in (self.target, self.source, *self._servers):
            server.ask("CLUSTER SETSLOT", self.slot, "NODE", self.target.ask("CLUSTER MYID"))


def owner(slot: int) -> int:
    """The number of the server that has a slot at the start."""
    return slot * PRIMARIES // REDIS_CLUSTER_HASH_SLOTS


def is_followed(primary: RedisServer) -> bool:
    """Whether a replica has all that its primary has, so far."""
    return bool(primary.ask("INFO", "replication").get("slave0", {}).get("state") == "online")


def wait_until(true: Callable[[], bool]) -> None:
    """Ask again and again."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.01)


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody uses, nor those of the bus above them; below those that a system gives out."""
    found = []
    with contextlib.ExitStack() as stack:
        for port in _candidates():
            with contextlib.suppress(OSError):
                for each in (port, port + BUS):
                    stack.enter_context(socket.create_server(("127.0.0.1", each)))
                found.append(port)
            if len(found) == number:
                break
    return found


def _candidates() -> Iterator[int]:
    yield from random.sample(range(20_000, 22_700), 2_700)
