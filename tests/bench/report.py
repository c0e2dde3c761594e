"""The figures as tables."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from tests.bench.measure import Case, Figures

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
            _both(alone.requests_per_second, ours.requests_per_second, 0),
            _both(alone.p50_us / 1000, ours.p50_us / 1000, 2),
            _both(alone.p99_us / 1000, ours.p99_us / 1000, 2),
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
            _both(alone[ENVOY], ours[ENVOY], 0),
        )
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("request")
    for column in ("conn.", *columns):
        table.add_column(column, justify="right")
    return table


def _both(alone: float, ours: float, digits: int) -> str:
    return f"{alone:,.{digits}f} → {ours:,.{digits}f}  ×{ours / alone:.2f}"
