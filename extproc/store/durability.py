"""What Tollgate needs of Redis so that balances outlive it, and what is not so, in plain words."""

from collections.abc import Mapping

from extproc.errors import LedgerUnavailable
from extproc.store.address import Kind
from extproc.store.connection import Connection

_SETTINGS = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "cluster-enabled")


async def shortcomings(redis: Connection) -> list[str]:
    """One sentence for each thing that can lose money; none when all is well. Raises `LedgerUnavailable`.

    Every primary of a cluster is asked, and named. Some hosted services do not tell their settings; then that is the
    one sentence.
    """
    await redis.execute_everywhere("PING")
    try:
        answers = [await redis.execute_everywhere("CONFIG", "GET", name) for name in _SETTINGS]
        replication = await redis.execute_everywhere("INFO", "replication")
    except LedgerUnavailable:
        return ["Redis does not tell its settings: see to it that it keeps an append-only file and evicts nothing."]
    said = []
    for server, info in replication.items():
        settings = {name: value for answer in answers for name, value in _pairs(answer[server]).items()}
        said += judge(settings, server) + judge_replicas(int(info["connected_slaves"]), redis.address.replicas, server)
        if settings.get("cluster-enabled") == "yes" and redis.address.kind is not Kind.CLUSTER:
            said.append(f"{server} is one of a cluster, and refuses most keys: say redis+cluster:// in its URL.")
    return said


def judge(settings: Mapping[str, str], server: str = "Redis") -> list[str]:
    """What these settings of a server may cost."""
    said = []
    if settings.get("appendonly") != "yes":
        said.append(f"{server} keeps no append-only file (appendonly no): when it restarts, balances go back in time.")
    elif settings.get("appendfsync") == "no":
        said.append(
            f"{server} leaves it to the system when to write to disk (appendfsync no): a power cut loses seconds."
        )
    if settings.get("maxmemory", "0") != "0" and settings.get("maxmemory-policy") != "noeviction":
        policy = settings.get("maxmemory-policy")
        said.append(f"{server} forgets keys when its memory is full (maxmemory-policy {policy}): balances may vanish.")
    return said


def judge_replicas(there: int, needed: int, server: str = "Redis") -> list[str]:
    """What a failover may cost, with so many replicas there and so many that each write waits for."""
    if there < needed:
        return [f"{server} has {there} replicas, and its URL wants {needed}: until it has them, requests are refused."]
    if there and not needed:
        return [
            f"{server} answers before a replica has a write: a failover loses the last. Add ?replicas=1 to its URL."
        ]
    return []


def _pairs(answer: Mapping[str, str] | list[str]) -> dict[str, str]:
    """`CONFIG GET` answers a list of names and values, or a mapping, depending on the client's version."""
    return dict(answer) if isinstance(answer, Mapping) else dict(zip(answer[::2], answer[1::2], strict=True))
