"""What Redis must do for money to be safe in it is checked, and said in words."""

import pytest

from extproc.store.connection import Connection
from extproc.store.durability import judge, judge_replicas, shortcomings

SAFE = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory": "0", "maxmemory-policy": "noeviction"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"appendfsync": "always"}, []),
        ({"appendonly": "no"}, ["append-only file"]),
        ({"appendfsync": "no"}, ["power cut"]),
        ({"maxmemory": "1000", "maxmemory-policy": "allkeys-lru"}, ["allkeys-lru"]),
        ({"maxmemory": "1000"}, []),
        ({"maxmemory-policy": "allkeys-lru"}, []),
        ({"appendonly": "no", "maxmemory": "1", "maxmemory-policy": "volatile-ttl"}, ["append-only", "volatile-ttl"]),
    ],
)
def test_what_can_lose_money_is_said(change: dict[str, str], words: list[str]) -> None:
    """One sentence for each shortcoming, and none for a Redis that keeps what it is given."""
    said = judge({**SAFE, **change})
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))


@pytest.mark.parametrize(
    ("there", "needed", "words"),
    [
        (0, 0, []),
        (1, 0, ["a failover loses the last"]),
        (1, 1, []),
        (2, 1, []),
        (0, 1, ["has 0 replicas, and its URL wants 1"]),
        (1, 2, ["has 1 replicas, and its URL wants 2"]),
    ],
)
def test_what_a_failover_costs_is_said(there: int, needed: int, words: list[str]) -> None:
    """Replicas that no write waits for, and writes that wait for replicas that are not there."""
    said = judge_replicas(there, needed)
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))


async def test_a_real_redis_is_asked(connection: Connection) -> None:
    """The Redis of these tests keeps no file, which is noticed; switched on, there is nothing to say."""
    await connection.execute("CONFIG", "SET", "appendonly", "no")
    assert ["append-only file" in sentence for sentence in await shortcomings(connection)] == [True]
    await connection.execute("CONFIG", "SET", "appendonly", "yes")
    assert await shortcomings(connection) == []
    await connection.execute("CONFIG", "SET", "appendonly", "no")


async def test_a_redis_that_does_not_tell(connection: Connection) -> None:
    """A service without CONFIG is said to be unknown, not to be safe."""
    await connection.execute("ACL", "SETUSER", "default", "-config")
    try:
        (sentence,) = await shortcomings(connection)
        assert "does not tell" in sentence
    finally:
        await connection.execute("ACL", "SETUSER", "default", "+config")
