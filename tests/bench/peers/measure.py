"""Windows of load: the peers take turns, and each figure is the median of a peer's windows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.cpu import Pids, since_us, used_ns
from tests.bench.load import Timing
from tests.bench.measure import Figures, medians
from tests.bench.peers.load import Ask, post

ROUNDS: Final = 3
REST_SECONDS: Final = 0.2
"""After a window, until its CPU time is read: what follows an answer, such as a settlement, is counted too."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to the vendor. `parts` finds the processes that count as its own; `model` is asked of nobody else."""

    name: str
    url: str
    model: str
    headers: Mapping[str, str]
    parts: Callable[[], Pids]
    checks_keys: bool = False
    posted: list[Timing] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    """So many connections that ask this, one request after the other."""

    ask: Ask
    connections: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A peer in a case: the medians of its windows, and over all of them its answers, its errors, and the largest share
    of one core that wrk took."""

    figures: Figures
    windows: int
    requests: int
    errors: int
    wrk_share: float


Results = Mapping[Case, Mapping[str, Seen]]
Window = tuple[Figures, Timing, float]


def compare(
    peers: Sequence[Peer], cases: Sequence[Case], seconds: float, budget_seconds: float, folder: Path
) -> Iterator[tuple[Case, dict[str, Seen]]]:
    """Each case in turn: A B C D A B C D A B C D. Request bodies are written to `folder`.

    A case that began late, on a machine that does other work, has fewer rounds, so that the whole stays in its budget.
    """
    start = time.monotonic()
    for place, case in enumerate(cases, 1):
        until = start + budget_seconds * place / len(cases)
        rounds: list[list[Window]] = []
        while not rounds or (len(rounds) < ROUNDS and time.monotonic() < until):
            rounds.append([window(peer, case, seconds, folder) for peer in peers])
        yield case, {peer.name: _seen(windows) for peer, windows in zip(peers, zip(*rounds, strict=True), strict=True)}


def window(peer: Peer, case: Case, seconds: float, folder: Path) -> Window:
    """Ask one peer in one way for so many seconds: the figures, what wrk said, and its share of one core."""
    body = folder / "body.json"
    body.write_bytes(case.ask.body(peer.model))
    parts = peer.parts()
    before = used_ns(parts)
    timing, wrk_us = post(peer.url, peer.headers, body, case.connections, seconds)
    time.sleep(REST_SECONDS)
    used = since_us(before, parts)
    peer.posted.append(timing)
    per_request = {part: us / timing.requests for part, us in used.items()}
    figures = Figures(timing.requests / timing.seconds, timing.p50_us, timing.p99_us, per_request)
    return figures, timing, wrk_us / 1e6 / timing.seconds


def rss_mb(peer: Peer) -> dict[str, float]:
    """Resident memory of each part now; what its processes share is counted in each."""
    return {part: sum(map(_rss_mb, pids)) for part, pids in peer.parts().items()}


def _rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1000


def _seen(windows: Sequence[Window]) -> Seen:
    figures, timings, shares = zip(*windows, strict=True)
    requests, errors = sum(timing.requests for timing in timings), sum(timing.errors for timing in timings)
    return Seen(medians(figures), len(windows), requests, errors, max(shares))
