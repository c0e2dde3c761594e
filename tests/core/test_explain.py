"""A cost, line by line."""

from dataclasses import fields
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given

from extproc.core.explain import explain
from extproc.core.pricing import ONE, Rates, UnitKind, UnitRate, Usage, cost_nano
from tests.core import samples

RATES = Rates(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, UnitRate(UnitKind.MINUTE, 12, 60_000))
USAGE = Usage.of(
    21, 1, 2, 11, 5, cache_write_1h=3, input_audio=4, input_image=5, output_audio=2, output_image=3, units=9
)


@samples.steady
@given(samples.usages, samples.rates, samples.multipliers, samples.multipliers)
def test_the_lines_add_up_to_what_is_charged(
    usage: Usage, rates: Rates, multiplier_ppm: int, discount_ppm: int
) -> None:
    """Whatever is used, at whatever rates: the sum of the lines, rounded half up once, is the cost."""
    lines = explain(usage, rates, multiplier_ppm, discount_ppm)
    exact = sum((line.exact_nano for line in lines), Fraction())
    assert floor(exact + Fraction(1, 2)) == cost_nano(usage, rates, multiplier_ppm, discount_ppm)


@samples.steady
@given(samples.usages)
def test_every_token_is_in_one_line(usage: Usage) -> None:
    """No token is listed twice, and none is left out."""
    tokens = [line.count for line in explain(usage, RATES, ONE) if line.per == 1_000_000]
    assert sum(tokens) == usage.total_tokens
    assert all(tokens)


def test_each_class_has_its_line() -> None:
    """Each class is counted by its own tokens and at its own rate; a new one would be missed here."""
    lines = explain(USAGE, RATES, ONE)
    assert [(line.what, line.count, line.rate_nano, line.per) for line in lines] == [
        ("input", 6, 1, 1_000_000),
        ("cache_read", 1, 2, 1_000_000),
        ("cache_write", 2, 3, 1_000_000),
        ("cache_write_1h", 3, 6, 1_000_000),
        ("input_audio", 4, 7, 1_000_000),
        ("input_image", 5, 8, 1_000_000),
        ("output", 1, 4, 1_000_000),
        ("reasoning", 5, 5, 1_000_000),
        ("output_audio", 2, 9, 1_000_000),
        ("output_image", 3, 10, 1_000_000),
        ("call", 1, 11, 1),
        ("minute", 9, 12, 60_000),
    ]
    assert len(lines) == len(fields(Rates))


@pytest.mark.parametrize(
    ("usage", "rates", "exact"),
    [
        (Usage.of(3), Rates.of(input=1), Fraction(3, 1_000_000)),
        (Usage(units=1), Rates.of(unit=UnitRate(UnitKind.MINUTE, 1, 60_000)), Fraction(1, 60_000)),
        (Usage(), Rates.of(call=7), Fraction(7)),
    ],
)
def test_a_line_is_not_rounded(usage: Usage, rates: Rates, exact: Fraction) -> None:
    """What a line costs is exact, however small: only the sum is rounded. Half off is half of it."""
    (line,) = explain(usage, rates, ONE)
    (half,) = explain(usage, rates, ONE, ONE // 2)
    assert (line.exact_nano, half.exact_nano) == (exact, exact / 2)
