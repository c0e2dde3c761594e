"""One set of containers for all tests here."""

from collections.abc import Iterator

import pytest

from tests.containers.stack import Customer, Stack, running, why_not


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The containers of docker-compose.yml; skips where there is no engine to run them."""
    if reason := why_not():
        pytest.skip(reason)
    with running(tmp_path_factory.mktemp("containers")) as started:
        yield started


@pytest.fixture(scope="package")
def customer(stack: Stack) -> Customer:
    """Somebody with ten dollars."""
    return stack.customer()
