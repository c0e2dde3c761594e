"""A gateway of the wall's own, and its audit."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extproc.simulator.__main__ import RECEIVED_VARIABLE
from tests.e2e.harness import Gateway, gateway
from tests.faults.callers import Callers
from tests.faults.truth import VendorLog
from tests.faults.wall import Wall

CONFIG = Path(__file__).parent / "config"
CLEAN_REQUESTS = 240


@contextmanager
def warm_wall(folder: Path, seed: int) -> Iterator[Wall]:
    """Start everything in this folder, and let it learn from clean requests; it is stopped at the end."""
    log = folder / "vendor.jsonl"
    environment = {RECEIVED_VARIABLE: str(log)}
    with gateway(CONFIG, folder / "data", environment=environment) as running, Callers() as callers:
        wall = Wall(running, callers, VendorLog(log), random.Random(seed))
        wall.warm_up(CLEAN_REQUESTS)
        yield wall


def audit(running: Gateway) -> list[str]:
    """What `tollgate audit` complains of, line by line; nothing when everything adds up."""
    command = [sys.executable, "-m", "extproc", "audit"]
    command += ["--config", str(CONFIG), "--data", str(running.settings.data)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if said.returncode == 0 else (said.stdout + said.stderr).splitlines()
