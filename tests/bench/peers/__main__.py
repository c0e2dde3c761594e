"""`python -m tests.bench.peers`: install the peers, check them, measure them, and write what was seen."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.bench.load import INSTALL, wrk_is_there
from tests.bench.peers import check, others, ours, report
from tests.bench.peers.install import Installed, install, versions
from tests.bench.peers.load import ASKS
from tests.bench.peers.measure import Case, Peer, compare, rss_mb, window
from tests.bench.peers.report import Run

REPOSITORY: Final = Path(__file__).parents[3]
DOCUMENT: Final = REPOSITORY / "docs/benchmarks.md"
WORK: Final = REPOSITORY / ".data/bench-peers"
VENDOR_KEYS: Final = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY")

WORKERS: Final = (1, 2)
"""Of Tollgate, whose default is 2, and of LiteLLM, whose default is 1."""


def main() -> None:
    """Read the command line and run; exits 1 when a gateway answers wrongly, or a charge is wrong."""
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whatever was started is stopped
    if not wrk_is_there():
        sys.exit(INSTALL)
    for name in VENDOR_KEYS:
        os.environ.pop(name, None)  # with one, the demo configuration would ask the real vendor
    console = Console()
    with console.status("installing the peers"):
        installed = install(args.work)
    with tempfile.TemporaryDirectory(prefix="tollgate-peers-") as folder:
        run = _measure(installed, Path(folder), args.quick, console)
        text = report.markdown(run)
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        if args.json:
            args.json.write_text(json.dumps(_plain(run), indent=2) + "\n")
        if args.write or not args.quick:
            _write(run, text, installed, Path(folder))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 connections and short windows: within 3 minutes")
    parser.add_argument("--write", action="store_true", help="write the document of a quick run too")
    parser.add_argument("--work", type=Path, metavar="FOLDER", default=WORK, help=f"of the peers (default: {WORK})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    return parser.parse_args()


def _measure(installed: Installed, folder: Path, quick: bool, console: Console) -> Run:
    start, load_before = time.monotonic(), os.getloadavg()[0]
    seconds, budget, connections = (0.6, 90, (8,)) if quick else (1.0, 540, (1, 8, 64))
    cases = [Case(ask, count) for ask in ASKS for count in connections]
    with contextlib.ExitStack() as stack, console.status("starting the gateways") as status:
        vendor_port = stack.enter_context(ours.simulator(folder))
        gateways = [stack.enter_context(ours.tollgate(folder, vendor_port, workers)) for workers in WORKERS]
        peers = list(_peers(stack, installed, folder, vendor_port, gateways))
        _check_and_warm(peers, folder)
        results = {}
        for case, seen in compare(peers, cases, seconds, budget, folder):
            results[case] = seen
            status.update(f"measured {len(results)} of {len(cases)}")
        memory = {peer.name: rss_mb(peer) for peer in peers}
        notes = list(_asked_more(peers, vendor_port))
        for tollgate in gateways:
            books = tollgate.books()
            console.print(f"{tollgate.peer.name}: {books.requests:,} requests, charged to the nano-USD")
    return Run(results, memory, versions(installed), load_before, time.monotonic() - start, quick, notes)


def _peers(
    stack: contextlib.ExitStack, installed: Installed, folder: Path, vendor_port: int, gateways: Sequence[ours.Tollgate]
) -> Iterator[Peer]:
    """In the order in which they take turns and stand in tables."""
    vendor = f"http://127.0.0.1:{vendor_port}"
    yield ours.the_vendor(vendor_port)
    yield stack.enter_context(ours.envoy_alone(folder, vendor_port))
    yield from (tollgate.peer for tollgate in gateways)
    yield stack.enter_context(others.portkey(installed, folder, vendor))
    for workers in WORKERS:
        yield stack.enter_context(others.litellm(installed, folder, vendor, workers))


def _check_and_warm(peers: Sequence[Peer], folder: Path) -> None:
    for ask in ASKS:
        expected = check.answer(peers[0], ask)
        for peer in peers:
            check.check(peer, ask, expected)
            window(peer, Case(ask, 8), 0.5, folder)


def _asked_more(peers: Sequence[Peer], vendor_port: int) -> Iterator[str]:
    """Whose answers are not as many as the vendor gave: some from a cache, asked for twice, or lost."""
    for peer in peers:
        answers = sum(timing.requests for timing in peer.posted)
        given = ours.requests_at_vendor(vendor_port, peer.model)
        if given != answers:
            yield f"{peer.name} gave {answers:,} answers, for which the vendor gave {given:,}."


def _plain(run: Run) -> dict[str, object]:
    cases = [
        {"case": asdict(case), "peers": {name: asdict(one) for name, one in seen.items()}}
        for case, seen in run.results.items()
    ]
    return {"cases": cases, "rss_mb": run.rss_mb, "versions": run.versions, "seconds": run.seconds, "notes": run.notes}


def _write(run: Run, text: str, installed: Installed, folder: Path) -> None:
    figures = folder / "figures.json"
    figures.write_text(json.dumps(report.plot_data(run)))
    image = DOCUMENT.with_name(report.PLOT)
    subprocess.run([installed.python, Path(__file__).with_name("plot.py"), figures, image], check=True)
    DOCUMENT.write_text(report.put_into(DOCUMENT.read_text(), text))


if __name__ == "__main__":
    main()
