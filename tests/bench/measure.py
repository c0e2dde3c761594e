"""Windows of load, alternating between the sides, and their medians."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.cpu import Pids, since_us, used_ns
from tests.bench.load import Shape, Timing, post
from tests.bench.plain import under_way

ROUNDS: Final = 3
REST_SECONDS: Final = 0.25
"""After a window, until its CPU time is read: Envoy sends its access log every 0.1 s."""


@dataclass(frozen=True, slots=True)
class Side:
    """One Envoy, with whatever stands behind it. `model` tells its requests from the other side's in the totals."""

    name: str
    url: str
    key: str
    model: str
    admin: Path
    parts: Pids
    posted: list[Timing] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    """So many connections that ask in this shape, one request after the other."""

    shape: Shape
    connections: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Per window, or the medians over several: latencies in µs, CPU in µs per request by part."""

    requests_per_second: float
    p50_us: float
    p99_us: float
    cpu_us: Mapping[str, float]


def window(side: Side, case: Case, seconds: float) -> Figures:
    """Ask one side in one way for so many seconds. What follows the answers is counted too: settlement, access log."""
    before = used_ns(side.parts)
    timing = post(
        f"{side.url}/v1/chat/completions",
        case.shape.body(side.model),
        side.key,
        case.connections,
        seconds,
        lambda: not under_way(side.admin),
    )
    time.sleep(REST_SECONDS)
    used = since_us(before, side.parts)
    side.posted.append(timing)
    per_request = {part: us / timing.requests for part, us in used.items()}
    return Figures(timing.requests / timing.seconds, timing.p50_us, timing.p99_us, per_request)


def compare(sides: Sequence[Side], cases: Sequence[Case], seconds: float) -> Iterator[tuple[Case, dict[str, Figures]]]:
    """Each case in turn: A B A B A B, and the medians of each side."""
    for case in cases:
        rounds = [[window(side, case, seconds) for side in sides] for _ in range(ROUNDS)]
        yield case, {side.name: medians(seen) for side, seen in zip(sides, zip(*rounds, strict=True), strict=True)}


def alternate(side: Side, cases: Sequence[Case], seconds: float) -> list[Figures]:
    """The medians of each case on one side, the cases taking turns."""
    rounds = [[window(side, case, seconds) for case in cases] for _ in range(ROUNDS)]
    return [medians(seen) for seen in zip(*rounds, strict=True)]


def medians(windows: Sequence[Figures]) -> Figures:
    """The median of each figure by itself."""
    return Figures(
        median(seen.requests_per_second for seen in windows),
        median(seen.p50_us for seen in windows),
        median(seen.p99_us for seen in windows),
        {part: median(seen.cpu_us[part] for seen in windows) for part in windows[0].cpu_us},
    )


def at_rest(parts: Pids, seconds: float) -> dict[str, float]:
    """What each part uses when nobody asks, in µs of CPU per second."""
    before = used_ns(parts)
    time.sleep(seconds)
    return {part: us / seconds for part, us in since_us(before, parts).items()}
