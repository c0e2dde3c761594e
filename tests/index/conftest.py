"""One Redis for all tests of the index, emptied for each."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from extproc.index.index import Index
from extproc.store.connection import Connection
from tests.index.samples import ZONE
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
def index(tmp_path: Path) -> Iterator[Index]:
    """An index of nothing."""
    index = Index(tmp_path / "index.sqlite", ZONE)
    yield index
    index.close()
