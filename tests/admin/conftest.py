"""One Redis for all tests of the admin service, and for each a world of its own in it."""

from pathlib import Path

import pytest

from extproc.store.connection import Connection
from tests.admin.world import World, made
from tests.store.one_server import connection as connection
from tests.store.one_server import server as server


@pytest.fixture
async def world(connection: Connection, tmp_path: Path) -> World:
    """The admin service on it, and somebody in every role."""
    return await made(connection, tmp_path)
