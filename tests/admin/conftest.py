"""One Redis for all tests of the admin service, and for each a world of its own in it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from extproc.store.connection import Connection
from tests.admin.world import World, made
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


@pytest.fixture
async def world(connection: Connection, tmp_path: Path) -> World:
    """The admin service on it, and somebody in every role."""
    return await made(connection, tmp_path)
