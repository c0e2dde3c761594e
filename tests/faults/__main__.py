"""`python -m tests.faults`: the long form of the fault wall. Prints the report, and exits 1 if anything is wrong."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tests.faults.report import table
from tests.faults.run import audit, warm_wall
from tests.faults.wall import MATRIX, Cell, Wall

AT_ONCE = 100
"""Requests that are struck at a time."""

MAX_MINUTES = 25


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--requests", type=int, default=500, help="for each cell (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="of the mix of requests")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whatever was started is stopped
    console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="tollgate-faults-") as folder, warm_wall(Path(folder), args.seed) as wall:
        wrong = _strike_all(wall, args.requests, console)
        wall.close()
        wrong += audit(wall.gateway)
    console.print(table(wall.rows))
    wrong += [f"{cell}: {line}" for cell, lines in wall.wrong.items() for line in lines]
    for line in wrong:
        console.print(line, markup=False, style="red", soft_wrap=True)
    sys.exit(1 if wrong else 0)


def _strike_all(wall: Wall, requests: int, console: Console) -> list[str]:
    """What kept it from being done, if anything did."""
    deadline = time.monotonic() + MAX_MINUTES * 60
    for cell, count in _strikes(requests):
        begun = time.monotonic()
        if begun > deadline:
            return [f"not done after {MAX_MINUTES} minutes"]
        try:
            wall.strike(cell, count)
        except AssertionError as error:
            return [f"{cell}: {error}"]
        console.print(f"{time.monotonic() - begun:5.1f} s  {count} × {cell}", markup=False, highlight=False)
    return []


def _strikes(requests: int) -> Iterator[tuple[Cell, int]]:
    """Pass after pass over the whole matrix, until every cell has had so many requests."""
    for done in range(0, requests, AT_ONCE):
        for cell in MATRIX:
            yield cell, min(AT_ONCE, requests - done)


if __name__ == "__main__":
    main()
