"""`python -m tests.bench`: run the benchmark, print tables, and exit 1 when a promise is broken."""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tests.bench import ledger, report
from tests.bench.load import INSTALL, LONG, SHORT, UNARY, wrk_is_there
from tests.bench.measure import Case, Side, alternate, at_rest, compare, window
from tests.bench.money import check_books, mute_sweeper
from tests.bench.plain import plain_envoy
from tests.bench.report import ENVOY, PLAIN, REDIS, SIDECAR, TOLLGATE
from tests.e2e.harness import Customer, Gateway, gateway

CONFIG: Final = Path(__file__).parents[2] / "config"
VENDOR_KEYS: Final = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")

HEADLINE_CONNECTIONS: Final = 8
PACE_MS: Final = 100
REST_SECONDS: Final = 10
"""The time in which one sweep falls."""

PROMISED_RATIO, ALLOWED_RATIO = 1.1, 1.25
"""Sidecar CPU per request, 1,000 chunks : 10 chunks. Above the second the benchmark fails: the difference is what
medians of three short windows vary by on a busy machine, where reading every chunk would multiply the cost."""


def main() -> None:
    """Read the command line and run."""
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whatever was started is stopped
    console = Console()
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
        if args.ledger:
            results, broken = asyncio.run(ledger.run(Path(folder), CONFIG, console)), []
        else:
            results, broken = _bench(Path(folder), args.workers, args.quick, console)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")
    if broken:
        sys.exit("\n".join(broken))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 connections and short windows: within a minute")
    parser.add_argument("--workers", type=int, choices=(1, 2), default=1, help="of the sidecar (default: 1)")
    parser.add_argument("--ledger", action="store_true", help="only hold and settle, without Envoy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    return parser.parse_args()


def _bench(folder: Path, workers: int, quick: bool, console: Console) -> tuple[dict[str, Any], list[str]]:
    """All figures, and the promises that they break."""
    if not wrk_is_there():
        sys.exit(INSTALL)
    for name in VENDOR_KEYS:
        os.environ.pop(name, None)  # with one, the demo configuration would ask the real vendor
    with gateway(CONFIG, folder / "data", workers) as running:
        rest = {} if quick else at_rest(_parts(running), REST_SECONDS)
        mute_sweeper(running)
        customer = running.customer(usd="1000000")
        with _sides(running, customer, folder) as sides:
            results = _compare(sides, quick, console)
            ratio = _growth(sides[1], quick)
        books = check_books(running, customer, sides[1])
    cpu_us = results[Case(UNARY, HEADLINE_CONNECTIONS)][TOLLGATE].cpu_us[SIDECAR]
    if rest:
        console.print("CPU at rest (ms per second): " + ", ".join(f"{part} {us / 1000:.1f}" for part, us in rest.items()))
    console.print(f"{books.requests:,} requests charged {books.charged_nano:,} nano-USD, as the vendor said; no hold left")
    console.print(f"[bold]sidecar CPU per unary request, Redis in the path: {cpu_us:.0f} µs[/bold]")
    console.print(f"[bold]sidecar CPU per request, 1,000 chunks : 10 chunks: {ratio:.2f}[/bold] (≤ {PROMISED_RATIO})")
    figures = [{"case": asdict(case), **{name: asdict(seen) for name, seen in by.items()}} for case, by in results.items()]
    summary = {"sidecar_us_per_unary_request": cpu_us, "ratio_1000_to_10_chunks": ratio}
    return {"workers": workers, "rest_us_per_second": rest, "cases": figures, "books": asdict(books)} | summary, _broken(
        ratio
    )


def _broken(ratio: float) -> list[str]:
    if ratio <= ALLOWED_RATIO:
        return []
    return [f"The sidecar's CPU grows with the chunks: {ratio:.2f} is above {ALLOWED_RATIO}. Does it see the body?"]


def _compare(sides: tuple[Side, Side], quick: bool, console: Console) -> report.Results:
    seconds = 1.0 if quick else 2.0
    connections = (HEADLINE_CONNECTIONS,) if quick else (1, HEADLINE_CONNECTIONS, 32)
    cases = [Case(shape, count) for shape in (UNARY, SHORT, LONG) for count in connections]
    for side in sides:
        for shape in (UNARY, LONG):
            window(side, Case(shape, HEADLINE_CONNECTIONS), 1.0)  # warm up
    results = {}
    with console.status("measuring") as status:
        for case, seen in compare(sides, cases, seconds):
            results[case] = seen
            status.update(f"measured {len(results)} of {len(cases)}")
    report.print_throughput(console, results)
    report.print_cpu(console, results)
    return results


def _growth(side: Side, quick: bool) -> float:
    """Sidecar CPU per request, 1,000 chunks : 10 chunks, at nearly the same rate: the busier a worker is, the more
    messages it handles per turn of its loop, and long streams keep it less busy."""
    cases = [Case(replace(shape, wait_ms=PACE_MS), HEADLINE_CONNECTIONS) for shape in (SHORT, LONG)]
    short, long = alternate(side, cases, 2.0 if quick else 3.0)
    return long.cpu_us[SIDECAR] / short.cpu_us[SIDECAR]


@contextmanager
def _sides(running: Gateway, customer: Customer, folder: Path) -> Iterator[tuple[Side, Side]]:
    with plain_envoy(running, folder / "plain") as plain:
        yield (
            Side(PLAIN, plain.url, "", "gpt-5-nano", plain.admin, {ENVOY: [plain.pid]}),
            Side(TOLLGATE, running.url, customer.key, "gpt-5-mini", running.settings.run / "admin.sock", _parts(running)),
        )


def _parts(running: Gateway) -> dict[str, list[int]]:
    parts = {SIDECAR: "extproc.app", ENVOY: "envoy.yaml", REDIS: "unixsocket"}
    found = {part: running.pids(command) for part, command in parts.items()}
    missing = [part for part, pids in found.items() if not pids]
    assert not missing, f"no process of {missing}"
    return found


if __name__ == "__main__":
    main()
