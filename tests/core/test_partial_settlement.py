"""Partial settlement on the simulator's mix: how close it comes, and that nobody pays for what was not produced."""

from collections.abc import Mapping
from random import Random
from statistics import median

import pytest

from tests.bench import partial
from tests.bench.partial import APIS, Figure


@pytest.fixture(scope="module")
def figures() -> Mapping[str, list[Figure]]:
    """What cut streams of each API were charged, and what they should have been."""
    return {name: partial.measure(api, Random(name)) for name, api in APIS.items()}


def test_the_median_error_is_below_a_tenth(figures: Mapping[str, list[Figure]]) -> None:
    """Short and long answers, small and large words, cut anywhere: half of the charges are closer than 10 %."""
    assert median(figure.error for each in figures.values() for figure in each) < 0.10


@pytest.mark.parametrize("name", APIS)
def test_every_api_comes_close(figures: Mapping[str, list[Figure]], name: str) -> None:
    """The median error of one API alone is below 13 %, at worst where the text is said four times more at the end."""
    assert median(figure.error for figure in figures[name]) < 0.13


@pytest.mark.parametrize("name", APIS)
def test_nobody_is_overcharged(figures: Mapping[str, list[Figure]], name: str) -> None:
    """Of 400 cut streams none costs more than what was produced."""
    assert not [figure for figure in figures[name] if figure.overcharge_nano]


@pytest.mark.parametrize("name", APIS)
def test_nobody_is_overcharged_before_anything_was_learned(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one begins with charges no cut stream of the simulator more than was produced."""
    monkeypatch.setattr(partial, "LEARNED_FROM", 0)
    assert not [figure for figure in partial.measure(APIS[name], Random(name)) if figure.overcharge_nano]
