"""One Redis for all tests of the store, emptied for each."""

from collections.abc import AsyncIterator, Iterator

import pytest

from extproc.store.connection import Connection
from tests.store.redis_server import RedisServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def connection(server: RedisServer) -> AsyncIterator[Connection]:
    """A connection to an empty Redis."""
    server.flush()
    connection = Connection(server.url)
    yield connection
    await connection.aclose()
