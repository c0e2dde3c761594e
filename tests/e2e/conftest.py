"""One gateway for all tests that only call it; those that break something start their own."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chains import CHAINS, environment
from tests.e2e.harness import Gateway, gateway
from tests.e2e.odd_vendor import OddVendor

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The example configuration, with the simulator as every vendor."""
    with gateway(CONFIG, tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="session")
def odd_vendor() -> Iterator[OddVendor]:
    """The vendor that does what the simulator does not."""
    with OddVendor() as vendor:
        threading.Thread(target=vendor.serve_forever, daemon=True).start()
        yield vendor
        vendor.shutdown()


@pytest.fixture(scope="session")
def chains(tmp_path_factory: pytest.TempPathFactory, odd_vendor: OddVendor) -> Iterator[Gateway]:
    """The configuration of `tests/e2e/config`: a group for every chain, a vendor for every way to answer."""
    with gateway(CHAINS, tmp_path_factory.mktemp("chains"), environment=environment(odd_vendor)) as running:
        yield running
