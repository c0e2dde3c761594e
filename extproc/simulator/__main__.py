"""`python -m extproc.simulator`: the simulator as a process, until SIGINT or SIGTERM."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from extproc.simulator.server import Simulator

RECEIVED_VARIABLE = "SIMULATOR_RECEIVED"


async def _serve(host: str, port: int, received_file: Path | None) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Simulator(host=host, port=port, received_file=received_file) as simulator:
        print(f"simulator on {simulator.url}", flush=True)
        await stopped.wait()


def main() -> None:
    """Read the command line and serve; exits 1 with one line if the port or the file cannot be had."""
    parser = argparse.ArgumentParser(
        prog="python -m extproc.simulator", description="Plays OpenAI, Anthropic and Gemini."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument(
        "--received",
        type=Path,
        metavar="FILE",
        default=os.environ.get(RECEIVED_VARIABLE),
        help=f"append a line of JSON per write of an answer and per end (default: ${RECEIVED_VARIABLE})",
    )
    args = parser.parse_args()
    try:
        uvloop.run(_serve(args.host, args.port, args.received))
    except OSError as error:
        sys.exit(f"simulator: {error}")


if __name__ == "__main__":
    main()
