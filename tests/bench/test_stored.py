"""What the benchmark stores is what the scripts would have stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extproc.dialects.routes import CHAT
from extproc.store.connection import Connection
from tests.bench.stored import Stored, fill, store
from tests.core import samples
from tests.store.redis_server import RedisServer

QUOTE = samples.quote(CHAT, stream=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


async def contents(redis: Connection) -> dict[str, Any]:
    """All that is stored but streams, by name, with its type, how Redis keeps it and when it expires."""
    found = {}
    for name in await redis.execute("KEYS", "*"):
        kind = await redis.execute("TYPE", name)
        read = {"hash": ("HGETALL",), "string": ("GET",), "set": ("SMEMBERS",), "zset": ("ZRANGE", 0, -1, "WITHSCORES")}
        if kind != "stream":
            command, *more = read[kind]
            value = await redis.execute(str(command), name, *more)
            if kind == "hash":
                value = {word: value[word] for word in value if word != "mark"}  # by chance: it tells writes apart
            encoding = await redis.execute("OBJECT", "ENCODING", name)
            found[name] = kind, encoding, await redis.execute("TTL", name), value
    return found


@pytest.mark.parametrize("one_owner", [True, False])
async def test_a_copy_is_what_the_scripts_leave(one_owner: bool, server: RedisServer) -> None:
    """Number 0 by the scripts and the rest copied, or all by the scripts: the same in the end, name by name."""
    stored, redis = Stored(5, one_owner), Connection(server.url)
    for number in range(stored.keys):
        await store(redis, stored, QUOTE, number)
    expected = await contents(redis)
    server.flush()
    await fill(redis, stored, QUOTE)
    assert await contents(redis) == expected
    assert len(expected) > 4 * stored.keys
    await redis.aclose()
