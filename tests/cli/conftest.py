"""One Redis for all tests of the command line, emptied for each, and the admin service on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import CONFIG, Tollgate, service
from tests.store.redis_server import RedisServer


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pepper, with a path that is short enough for sockets."""
    return tmp_path_factory.mktemp("d")


@pytest.fixture(scope="session")
def server(data: Path) -> Iterator[RedisServer]:
    """A running Redis."""
    server = RedisServer(data)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def socket(server: RedisServer, data: Path) -> Iterator[Path]:
    """Where the admin service listens."""
    with service(server.url, data, data / "api.sock"):
        yield data / "api.sock"


@pytest.fixture
def tollgate(
    server: RedisServer, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Tollgate:
    """The command line, straight on an empty Redis."""
    server.flush()
    (data / "index.sqlite").unlink(missing_ok=True)
    for name, value in (("REDIS", server.url), ("DATA", str(data)), ("CONFIG", str(CONFIG))):
        monkeypatch.setenv(f"TOLLGATE_{name}", value)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TZ", "UTC")
    return Tollgate(capsys, monkeypatch)


@pytest.fixture(params=["redis", "grpc"])
def either(request: pytest.FixtureRequest, tollgate: Tollgate) -> Tollgate:
    """The command line either way: straight on an empty Redis, or through the admin API with an operator's token."""
    if request.param == "grpc":
        tollgate.remotely(request.getfixturevalue("socket"), "operator")
    return tollgate
