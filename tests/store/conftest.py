"""One Redis for all tests of the store, emptied for each; a cluster too for those of the ledger."""

from collections.abc import AsyncIterator, Iterator

import pytest

from extproc.store.connection import Connection
from tests.store.cluster import Cluster
from tests.store.redis_server import RedisServer

ON_A_CLUSTER_TOO = {
    *(
        "audit",
        "changes",
        "keyring",
        "lockstep",
        "redis_ledger",
        "sweeper",
        "tasks",
        "teams",
        "tokens",
        "trace",
        "trim",
        "usage",
    )
}
"""The modules of tests that say nothing of one server alone."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the ledger's tests on both."""
    if "server" in metafunc.fixturenames:
        name = metafunc.module.__name__.rpartition(".test_")[2]
        kinds = [RedisServer, Cluster] if name in ON_A_CLUSTER_TOO else [RedisServer]
        metafunc.parametrize("server", kinds, indirect=True, scope="session", ids=lambda kind: kind.__name__)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer | Cluster]:
    """A running Redis."""
    server = request.param(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
async def connection(server: RedisServer | Cluster) -> AsyncIterator[Connection]:
    """A connection to an empty Redis."""
    server.flush()
    connection = Connection(server.url)
    yield connection
    await connection.aclose()
