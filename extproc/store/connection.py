"""The one way to Redis: by URL, quickly, and no foreign exception gets out.

Connection → Lane                    one server, or the primary that Sentinels name
           → Cluster → Lane, Lane…   one for each server of a cluster
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from extproc import metrics
from extproc.errors import LedgerUnavailable
from extproc.store import scripts
from extproc.store.address import Address, Kind, Node, parse
from extproc.store.cluster import Cluster
from extproc.store.lane import ANSWER_SECONDS, FOREIGN, Lane, Overdue
from extproc.store.pipe import Command

CONNECT_SECONDS = 1.0
SENTINEL_SECONDS = 0.5
"""How long one Sentinel may take, before the next is asked."""

_seconds = cache(metrics.LEDGER_SECONDS.labels)


class Connection:
    """A client of the Redis at a URL, as `extproc.store.address` describes them. Raises `ConfigError` for any other.

    Connects when first used, and again when lost.
    """

    def __init__(self, url: str) -> None:
        self.address = parse(url)
        self._to_close = AsyncExitStack()
        self._route = self._open(self.address)
        self._to_close.push_async_callback(self._route.aclose)

    async def script(self, script: scripts.Script, keys: list[str], args: Iterable[str | int]) -> Any:
        """Run a script. Raises `LedgerUnavailable`."""
        began = time.perf_counter()
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        finally:
            _seconds(script.verb).observe(time.perf_counter() - began)

    async def execute(self, command: str, *args: str | int) -> Any:
        """Run one command, in a cluster on the server of its first key; one without a key on any.

        Raises `LedgerUnavailable`, and `ValueError` for what is no text, to this caller alone.
        """
        return await _answered(self._route, _encoded(command, args))

    async def execute_everywhere(self, command: str, *args: str | int) -> dict[str, Any]:
        """Run one command on every primary; the answers by the names of these. Raises `LedgerUnavailable`."""
        lanes = await self._primaries()
        encoded = _encoded(command, args)
        answers = await asyncio.gather(*(_answered(lane, encoded) for lane in lanes))
        return {lane.name: answer for lane, answer in zip(lanes, answers, strict=True)}

    async def aclose(self) -> None:
        """Let what is under way finish, and disconnect."""
        await self._to_close.aclose()

    async def _primaries(self) -> list[Lane]:
        if isinstance(self._route, Lane):
            return [self._route]
        primaries = await self._route.primaries()
        if not primaries:
            await self.execute("PING")  # which says why there are none
        return primaries

    def _open(self, address: Address) -> Lane | Cluster:
        options = {**address.options, **OURS}
        if address.kind is Kind.CLUSTER:
            return Cluster(address.nodes, lambda node: _lane_to(node, options, address.replicas))
        if address.kind is Kind.SENTINEL:
            sentinel = _sentinel(address)
            self._to_close.push_async_callback(sentinel.aclose)
            options.pop("connection_class", None)
            primary = sentinel.master_for(address.service, ssl=address.tls, **options)
            return Lane("Redis", primary, address.replicas)
        return Lane("Redis", Redis.from_pool(ConnectionPool(**options)), address.replicas)


OURS: dict[str, Any] = {
    "protocol": 2,
    "socket_connect_timeout": CONNECT_SECONDS,
    "socket_timeout": ANSWER_SECONDS,
    "retry": Retry(NoBackoff(), 0),
}
"""What no URL changes. A lane repeats what is worth repeating."""


def _lane_to(node: Node, options: dict[str, Any], replicas: int) -> Lane:
    host, port = node
    pool = ConnectionPool(**{**options, "host": host, "port": port})
    return Lane(f"Redis at {host}:{port}", Redis.from_pool(pool), replicas)


def _sentinel(address: Address) -> Sentinel:
    tls = {name: value for name, value in address.options.items() if name.startswith("ssl_")}
    options = {
        "socket_connect_timeout": SENTINEL_SECONDS,
        "socket_timeout": SENTINEL_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "ssl": address.tls,
    }
    options = {**tls, **address.sentinel_options, **options}
    return Sentinel(list(address.nodes), sentinel_kwargs=options)  # type: ignore[no-untyped-call]


def _encoded(command: str, args: Iterable[str | int]) -> Command:
    return (command, *[str(arg).encode() for arg in args])


async def _answered(route: Lane | Cluster, command: Command) -> Any:
    answer = await route.ask(command)
    if isinstance(answer, FOREIGN):
        metrics.LEDGER_AWAY.inc()
        late = isinstance(answer, Overdue)
        raise LedgerUnavailable(f"Redis {answer}" if late else f"Redis: {answer}") from answer
    return answer
