"""What the benchmark beside other gateways writes, and where."""

import msgspec
import pytest

from tests.bench.measure import Figures
from tests.bench.peers.__main__ import DOCUMENT
from tests.bench.peers.load import ASKS, LARGE_BYTES, Ask
from tests.bench.peers.measure import ROUNDS, Case, Seen
from tests.bench.peers.report import BEGIN, END, LITELLM, OURS, PORTKEY, Run, markdown, put_into
from tests.bench.peers.report import ENVOY as ALONE

RATES = {ALONE: 4000.0, OURS: 1000.0, PORTKEY: 500.0, LITELLM: 40.0}


def run(errors: int = 0) -> Run:
    """A run in which everybody is as fast at everything as `RATES` says, and Tollgate has so many errors."""
    seen = {
        name: Seen(
            Figures(rate, 1500, 2500, {"sidecar": 600.0, "Redis": 90.0}), ROUNDS, 100, errors * (name == OURS), 0.2
        )
        for name, rate in RATES.items()
    }
    results = {Case(ask, 8): seen for ask in ASKS}
    return Run(results, {OURS: {"sidecar": 75.0, "Redis": 14.0}}, {"Envoy": "1.40.0"}, 0.5, 60, quick=True)


def test_section_takes_the_place_of_the_one_before() -> None:
    """Only what is between the markers changes, and a second time changes nothing."""
    once = put_into(f"before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n", "new")
    assert once == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"
    assert put_into(once, "new") == once


@pytest.mark.parametrize("document", ["nothing", f"{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_document_without_one_place_is_refused(document: str) -> None:
    """Without its markers, once each, a document is left alone."""
    with pytest.raises(ValueError, match="unpack"):
        put_into(document, "new")


def test_document_has_its_place() -> None:
    """docs/benchmarks.md has the markers."""
    assert f"{BEGIN}\n\nthe figures\n\n{END}" in put_into(DOCUMENT.read_text(), "the figures")


def test_figures_are_told_as_they_were_seen() -> None:
    """Ratios to the peers, CPU as the sum of the parts and by part, and errors."""
    text = markdown(run(errors=3))
    assert f"| {ASKS[0].name} | 8 | ×25 | ×2 | ×0.25 |" in text
    assert f"| {OURS} | 1,000 | 1.5 | 2.5 | 690 | 100 | 3 |" in text
    assert f"| {OURS} | Redis | 90 | 90 | 90 | 90 | 14 |" in text


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.name)
def test_large_prompt_differs_by_its_size_only(ask: Ask) -> None:
    """A large request asks the same question, after a system message that makes it 200 KB."""
    large, small = ask.body("some-model"), Ask(ask.shape).body("some-model")
    assert abs(len(large) - len(small) - ask.prompt_bytes) < LARGE_BYTES / 1000
    assert msgspec.json.decode(large)["messages"][-1] == msgspec.json.decode(small)["messages"][0]
