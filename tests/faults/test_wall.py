"""The fault wall in its short form: every part, every point, some requests of every kind. The long: `make faults`."""

from collections.abc import Iterator

import pytest

from tests.faults.mix import KINDS
from tests.faults.run import audit, warm_wall
from tests.faults.wall import MATRIX, Cell, Wall

REQUESTS = 2 * len(KINDS)


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wall]:
    """A gateway of its own, whose every part has been killed at every point."""
    with warm_wall(tmp_path_factory.mktemp("wall"), seed=7) as wall:
        for cell in MATRIX:
            wall.strike(cell, REQUESTS)
        wall.close()
        yield wall


@pytest.mark.parametrize("cell", MATRIX, ids=str)
def test_strike(wall: Wall, cell: Cell) -> None:
    """No charge is above what was produced for it, no hold is left, and where nothing may be lost all is charged."""
    assert wall.wrong[cell] == []
    assert wall.rows[cell].requests == REQUESTS


def test_the_audit_is_clean_afterwards(wall: Wall) -> None:
    """After all of that every balance, hold and record adds up."""
    assert audit(wall.gateway) == []
