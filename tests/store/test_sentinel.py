"""A primary that Sentinels watch over: found by the name of its service, also after another has taken its place."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from extproc.binaries import redis_binary
from extproc.errors import LedgerUnavailable
from extproc.store.connection import Connection
from extproc.store.durability import shortcomings
from tests.store.cluster import free_ports, is_followed, wait_until
from tests.store.redis_server import RedisServer
from tests.store.traffic import Traffic

SENTINEL = """
sentinel monitor money 127.0.0.1 {primary} 1
sentinel down-after-milliseconds money 1000
sentinel failover-timeout money 3000
"""


class Watched:
    """A primary and its replica, and the one Sentinel that decides."""

    def __init__(self, folder: Path) -> None:
        first, second, watching, self.nobody = free_ports(4)
        (folder / "sentinel.conf").write_text(SENTINEL.format(primary=first))
        self.primary = self._server(folder, first)
        self.replica = self._server(folder, second, "--replicaof", "127.0.0.1", str(first))
        arguments = (str(folder / "sentinel.conf"), "--sentinel")
        self.sentinel = RedisServer(folder, port=watching, arguments=arguments, binary=redis_binary())
        self.servers = [self.primary, self.replica, self.sentinel]

    @property
    def url(self) -> str:
        """A Sentinel that is gone, and the one that is there."""
        return f"redis+sentinel://127.0.0.1:{self.nobody},127.0.0.1:{self.sentinel.port}/money"

    def start(self) -> None:
        """Start everything, and wait until the replica has all and the Sentinel knows it."""
        for server in self.servers:
            server.start()
        wait_until(lambda: is_followed(self.primary))
        wait_until(lambda: len(self.sentinel.ask("SENTINEL", "REPLICAS", "money")) == 1)

    def kill(self) -> None:
        """End every server at once."""
        for server in self.servers:
            server.kill()

    def _server(self, folder: Path, port: int, *arguments: str) -> RedisServer:
        (folder / str(port)).mkdir()
        options = (*arguments, "--repl-diskless-sync-delay", "0")
        return RedisServer(folder / str(port), port=port, arguments=options, binary=redis_binary())


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """All of it, running."""
    watched = Watched(tmp_path)
    try:
        watched.start()
        yield watched
    finally:
        watched.kill()


async def test_what_was_answered_survives_the_death_of_the_primary(watched: Watched) -> None:
    """It is killed in the middle of requests that wait for the replica; that goes on with all that counted."""
    async with aclosing(Connection(f"{watched.url}?replicas=1")) as waiting, aclosing(Connection(watched.url)) as redis:
        traffic = Traffic(waiting, "ada")
        await traffic.open()
        async with traffic.flowing():
            await traffic.more()
            watched.primary.kill()
        traffic.through(redis)
        await traffic.check_answers()
        async with traffic.flowing():
            await traffic.more()
        await traffic.check_sums()


async def test_replicas_that_are_not_waited_for_are_told(watched: Watched) -> None:
    """A failover may then lose what was answered last; nothing is said of it when the URL asks for replicas."""
    for url, told in ((watched.url, True), (f"{watched.url}?replicas=1", False)):
        async with aclosing(Connection(url)) as redis:
            assert any("a failover loses" in sentence for sentence in await shortcomings(redis)) is told


async def test_a_service_that_no_sentinel_knows(watched: Watched) -> None:
    """The error names it."""
    async with aclosing(Connection(watched.url.replace("money", "honey"))) as redis:
        with pytest.raises(LedgerUnavailable, match="honey"):
            await redis.execute("PING")


async def test_no_sentinel_is_ledger_unavailable(watched: Watched) -> None:
    """Where no Sentinel answers, every call fails, and goes on once one does."""
    async with aclosing(Connection(watched.url)) as redis:
        watched.sentinel.kill()
        with pytest.raises(LedgerUnavailable, match="money"):
            await redis.execute("PING")
        await asyncio.to_thread(watched.sentinel.start)
        assert await redis.execute("PING")
