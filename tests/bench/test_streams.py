"""Streams that are open while a worker is killed."""

from pathlib import Path

from rich.console import Console

from tests.bench import streams
from tests.bench.__main__ import CONFIG, parts


def test_a_killed_worker_takes_no_stream_with_it(tmp_path: Path) -> None:
    """Three connections with a hundred streams each, all in their midst: every one comes whole and is charged."""
    seen = streams.run(tmp_path, CONFIG, parts, 300, Console(quiet=True))
    assert seen["whole"] == 300
    assert seen["charged_nano"] == seen["expected_nano"] > 0
