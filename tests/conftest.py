"""What all tests share: Hypothesis draws the same examples in every CI run, and new ones everywhere else."""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def logs_go_where_they_went() -> Iterator[None]:
    """A command of ours says where logs go: to a standard error that is gone when its test ends."""
    yield
    structlog.reset_defaults()
