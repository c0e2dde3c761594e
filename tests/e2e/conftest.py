"""One gateway for all tests that only call it; those that break something start their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Gateway, gateway

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The example configuration, with the simulator as every vendor."""
    with gateway(CONFIG, tmp_path_factory.mktemp("demo")) as running:
        yield running
