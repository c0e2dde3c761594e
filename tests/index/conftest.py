"""One Redis for all tests of the index, emptied for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.index.index import Index
from tests.index.samples import ZONE
from tests.store.one_server import connection as connection
from tests.store.one_server import server as server


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index of nothing."""
    index = Index(tmp_path / "index.sqlite", ZONE)
    yield index
    index.close()
