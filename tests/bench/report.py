"""The figures as tables."""

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.measure import Case, Figures
from tests.bench.money import Books

PLAIN, TOLLGATE = "Envoy alone", "Tollgate"
SIDECAR, ENVOY, REDIS = "sidecar", "Envoy", "Redis"

Results = Mapping[Case, Mapping[str, Figures]]


def print_throughput(console: Console, results: Results) -> None:
    """Requests per second and latencies: alone, with Tollgate, and the ratio."""
    table = _table("requests/s and latency (ms): Envoy alone → with Tollgate", "requests/s", "p50", "p99")
    for case, sides in results.items():
        alone, ours = sides[PLAIN], sides[TOLLGATE]
        table.add_row(
            case.shape.name,
            str(case.connections),
            _both(alone.requests_per_second, ours.requests_per_second),
            _both(alone.p50_us / 1000, ours.p50_us / 1000),
            _both(alone.p99_us / 1000, ours.p99_us / 1000),
        )
    console.print(table)


def print_cpu(console: Console, results: Results) -> None:
    """CPU per request of each part, Envoy's also alone."""
    table = _table("CPU per request (µs)", "sidecar", "Redis", "Envoy: alone → with Tollgate")
    for case, sides in results.items():
        alone, ours = sides[PLAIN].cpu_us, sides[TOLLGATE].cpu_us
        table.add_row(
            case.shape.name,
            str(case.connections),
            f"{ours[SIDECAR]:,.0f}",
            f"{ours[REDIS]:,.0f}",
            _both(alone[ENVOY], ours[ENVOY]),
        )
    console.print(table)


def print_summary(
    console: Console, books: Books, rest_us: Mapping[str, float], streams: tuple[Figures, Figures]
) -> None:
    """What was charged, what the parts use at rest, and the two streams at one rate."""
    charged = f"{books.requests:,} requests were charged {books.charged_nano:,} nano-USD"
    console.print(f"{charged}, as the vendor's totals say; no hold is left.")
    if rest_us:
        parts = ", ".join(f"{part} {us / 1000:.1f}" for part, us in rest_us.items())
        console.print(f"CPU at rest, a sweep included (ms per second): {parts}")
    for name, figures in zip(("10", "1,000"), streams, strict=True):
        rate, cpu_us = figures.requests_per_second, figures.cpu_us[SIDECAR]
        console.print(f"{name} chunks at {rate:.1f} streams/s: sidecar CPU {cpu_us:,.0f} µs per request")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("request")
    for column in ("conn.", *columns):
        table.add_column(column, justify="right")
    return table


def _both(alone: float, ours: float) -> str:
    ratio = ours / alone
    return f"{_short(alone)} → {_short(ours)} ×{ratio:.{2 if ratio < 10 else 0}f}"


def _short(number: float) -> str:
    """Three digits, or all those before the point."""
    return f"{number:.3g}" if number < 100 else f"{number:,.0f}"
