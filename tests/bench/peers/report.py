"""The figures as Markdown, and their place in docs/benchmarks.md."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Final

from tests.bench.peers.load import ASKS, Ask
from tests.bench.peers.measure import ROUNDS, Case, Results, Seen

BEGIN, END = "<!-- bench-peers: begin, made by `make bench-peers` -->", "<!-- bench-peers: end -->"
PLOT: Final = "benchmarks-peers.png"
OURS, ENVOY, LITELLM, PORTKEY = "Tollgate, 1 worker", "Envoy alone", "LiteLLM, 1 worker", "Portkey"
PARTS_AT: Final = 8
"""The connections at which CPU is told by part."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what was seen, and what it is to be read with. Memory in MB of each part after the load."""

    results: Results
    rss_mb: Mapping[str, Mapping[str, float]]
    versions: Mapping[str, str]
    load_before: float
    seconds: float
    quick: bool
    notes: Sequence[str] = ()


def markdown(run: Run) -> str:
    """Everything that is generated."""
    sections = [_heading(run), _ratios(run.results), *(_table(run.results, ask) for ask in ASKS), _parts(run)]
    plot = "" if run.quick else f"\n![requests per second and CPU per request]({PLOT})\n"
    return "\n".join(sections) + plot


def put_into(document: str, section: str) -> str:
    """The document with this section between its markers. Raises `ValueError` when they are not there, once each."""
    (before, rest), (_, after) = document.split(BEGIN), document.split(END)
    assert END in rest, "the markers are in the wrong order"
    return f"{before}{BEGIN}\n\n{section.strip()}\n\n{END}{after}"


def _heading(run: Run) -> str:
    cores = f"{cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}"
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    kind = "A quick run" if run.quick else "One run"
    everything = [seen for case in run.results.values() for seen in case.values()]
    busiest, fewest = max(seen.wrk_share for seen in everything), min(seen.windows for seen in everything)
    return (
        f"{kind} of {run.seconds / 60:.0f} minutes, {datetime.now(UTC):%d %B %Y}; {cores}; "
        f"load average before it {run.load_before:.1f}.\n{versions}.\n\n"
        f"Each figure is a median of {ROUNDS} windows{f', of some {fewest}' if fewest < ROUNDS else ''}. "
        f"wrk took at most {busiest:.0%} of one core.\n" + "".join(f"{note}\n" for note in run.notes)
    )


def _ratios(results: Results) -> str:
    lines = [
        "| Tollgate, 1 worker, in requests/s | conn. | of LiteLLM | of Portkey | of Envoy alone |",
        "|---|--:|--:|--:|--:|",
    ]
    for case, seen in results.items():
        ours = seen[OURS].figures.requests_per_second
        ratios = [f"×{_short(ours / seen[name].figures.requests_per_second)}" for name in (LITELLM, PORTKEY, ENVOY)]
        lines.append(f"| {case.ask.name} | {case.connections} | {' | '.join(ratios)} |")
    return "\n".join(lines) + "\n"


def _table(results: Results, ask: Ask) -> str:
    cases = [case for case in results if case.ask == ask]
    at = " / ".join(str(case.connections) for case in cases)
    lines = [
        f"**{ask.name[0].upper()}{ask.name[1:]}**, at {at} connections:\n",
        "| | requests/s | p50, ms | p99, ms | CPU per request, µs | answers | errors |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in results[cases[0]]:
        seen = [results[case][name] for case in cases]
        lines.append(f"| {name} | {' | '.join(_cells(seen))} |")
    return "\n".join(lines) + "\n"


def _cells(seen: Sequence[Seen]) -> Iterator[str]:
    figures = [each.figures for each in seen]
    columns = (
        [each.requests_per_second for each in figures],
        [each.p50_us / 1000 for each in figures],
        [each.p99_us / 1000 for each in figures],
    )
    yield from (" / ".join(map(_short, column)) for column in columns)
    yield " / ".join(_short(sum(each.cpu_us.values())) if each.cpu_us else "–" for each in figures)
    yield f"{sum(each.requests for each in seen):,}"
    yield str(sum(each.errors for each in seen))


def _parts(run: Run) -> str:
    lines = [
        f"CPU per request by part at {PARTS_AT} connections, µs, and resident memory after the load, MB:\n",
        f"| | part | {' | '.join(ask.name for ask in ASKS)} | memory |",
        f"|---|---|{'--:|' * len(ASKS)}--:|",
    ]
    for name, memory in run.rss_mb.items():
        for part, mb in memory.items():
            used = [run.results[Case(ask, PARTS_AT)][name].figures.cpu_us[part] for ask in ASKS]
            lines.append(f"| {name} | {part} | {' | '.join(map(_short, used))} | {mb:,.0f} |")
    return "\n".join(lines) + "\n"


def plot_data(run: Run) -> dict[str, object]:
    """What `plot.py` draws."""
    return {
        "asks": [ask.name for ask in ASKS],
        "connections": sorted({case.connections for case in run.results}),
        "bars": [
            {
                "ask": case.ask.name,
                "connections": case.connections,
                "peer": name,
                "requests_per_second": seen.figures.requests_per_second,
                "cpu_us": sum(seen.figures.cpu_us.values()),
            }
            for case, peers in run.results.items()
            for name, seen in peers.items()
        ],
    }


def _short(number: float) -> str:
    """Three digits, or all those before the point."""
    return f"{number:.3g}" if number < 100 else f"{number:,.0f}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
