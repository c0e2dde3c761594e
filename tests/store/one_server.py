"""The fixtures of tests that one Redis is enough for: a module's `conftest.py` imports them by name."""

from collections.abc import AsyncIterator, Iterator

import pytest

from extproc.store.connection import Connection
from tests.store.redis_server import RedisServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
async def connection(server: RedisServer) -> AsyncIterator[Connection]:
    """A connection to an empty Redis."""
    server.flush()
    connection = Connection(server.url)
    yield connection
    await connection.aclose()
