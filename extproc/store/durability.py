"""What Tollgate needs of Redis so that balances outlive it, and what is not so, in plain words."""

from collections.abc import Mapping

from extproc.errors import LedgerUnavailable
from extproc.store.connection import Connection

_SETTINGS = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")


async def shortcomings(redis: Connection) -> list[str]:
    """One sentence for each thing that can lose money; none when all is well. Raises `LedgerUnavailable`.

    Some hosted services do not tell their settings; then that is the one sentence.
    """
    await redis.execute("PING")
    try:
        answers = [await redis.execute("CONFIG", "GET", name) for name in _SETTINGS]
    except LedgerUnavailable:
        return ["Redis does not tell its settings: see to it that it keeps an append-only file and evicts nothing."]
    found = {name: value for answer in answers for name, value in _pairs(answer).items()}
    return judge(found)


def judge(settings: Mapping[str, str]) -> list[str]:
    """What these settings of Redis may cost."""
    said = []
    if settings.get("appendonly") != "yes":
        said.append("Redis keeps no append-only file (appendonly no): when it restarts, balances go back in time.")
    elif settings.get("appendfsync") == "no":
        said.append("Redis leaves it to the system when to write to disk (appendfsync no): a power cut loses seconds.")
    if settings.get("maxmemory", "0") != "0" and settings.get("maxmemory-policy") != "noeviction":
        policy = settings.get("maxmemory-policy")
        said.append(f"Redis forgets keys when its memory is full (maxmemory-policy {policy}): balances may vanish.")
    return said


def _pairs(answer: Mapping[str, str] | list[str]) -> dict[str, str]:
    """`CONFIG GET` answers a list of names and values, or a mapping, depending on the client's version."""
    return dict(answer) if isinstance(answer, Mapping) else dict(zip(answer[::2], answer[1::2], strict=True))
