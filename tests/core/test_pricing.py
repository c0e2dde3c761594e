"""The cost is the exact sum, rounded half up once; no token is charged twice; the ceiling is one."""

import doctest
from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core import pricing
from extproc.core.pricing import FREE, ONE, Rates, Usage, ceiling_nano, cost_nano
from tests.core.samples import RATES, multipliers, rates, steady, tokens, usages

any_count = st.integers(-(10**12), 10**12)


def exact_cost(usage: Usage, rates: Rates, multiplier_ppm: int) -> Fraction:
    """The formula of the design page, in fractions: Σ tokens(class) × rate(class) × multiplier."""
    per_class = [
        (usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens, rates.input),
        (usage.cache_read_tokens, rates.cache_read),
        (usage.cache_write_tokens, rates.cache_write),
        (usage.output_tokens - usage.reasoning_tokens, rates.output),
        (usage.reasoning_tokens, rates.reasoning),
    ]
    total = sum((Fraction(count * rate, 1_000_000) for count, rate in per_class), Fraction())
    return total * Fraction(multiplier_ppm, 1_000_000)


@steady
@given(usages, rates, multipliers)
def test_the_cost_is_the_exact_sum_rounded_half_up(usage: Usage, rates: Rates, multiplier_ppm: int) -> None:
    """Integer arithmetic gives what fractions give, rounded once at the end."""
    assert cost_nano(usage, rates, multiplier_ppm) == floor(exact_cost(usage, rates, multiplier_ppm) + Fraction(1, 2))


@pytest.mark.parametrize(
    ("usage", "rates", "multiplier_ppm", "nano"),
    [
        pytest.param(Usage.of(1_000), replace(FREE, input=100_000_000), ONE, 100_000, id="0.10 USD per million"),
        pytest.param(Usage.of(1_000, 400, 100), RATES, ONE, 1_450_000, id="cached and cache-written input"),
        pytest.param(Usage.of(0, 0, 0, 100, 60), replace(RATES, reasoning=1_000_000), ONE, 320_060, id="reasoning"),
        pytest.param(Usage.of(1_000), RATES, 950_000, 1_900_000, id="a discount"),
        pytest.param(Usage.of(1_000), RATES, 1, 2, id="the least multiplier"),
        pytest.param(Usage.of(1), replace(FREE, input=500_000), ONE, 1, id="half a nano is one"),
        pytest.param(Usage.of(1), replace(FREE, input=499_999), ONE, 0, id="less than half is none"),
        pytest.param(Usage.of(3), replace(FREE, input=500_000), ONE, 2, id="one and a half is two"),
        pytest.param(
            Usage.of(2, 1, 0, 1, 0), Rates(400_000, 400_000, 0, 400_000, 0), ONE, 1, id="rounded once, not per class"
        ),
        pytest.param(Usage.of(10**9, 5, 5, 10**9, 5), FREE, 10**9, 0, id="free"),
        pytest.param(Usage(), RATES, ONE, 0, id="nothing used"),
    ],
)
def test_a_cost(usage: Usage, rates: Rates, multiplier_ppm: int, nano: int) -> None:
    """A usage at these rates costs exactly so many nano-USD."""
    assert cost_nano(usage, rates, multiplier_ppm) == nano


@steady
@given(usages, st.integers(0, 10**15), multipliers)
def test_no_token_is_charged_twice(usage: Usage, rate: int, multiplier_ppm: int) -> None:
    """When every class has the same rate, it does not matter how a usage is split into classes."""
    whole = Usage.of(usage.input_tokens, output_tokens=usage.output_tokens)
    same = Rates(rate, rate, rate, rate, rate)
    assert cost_nano(usage, same, multiplier_ppm) == cost_nano(whole, same, multiplier_ppm)


@steady
@given(any_count, any_count, any_count, any_count, any_count)
def test_a_usage_always_adds_up(inp: int, read: int, write: int, out: int, reasoning: int) -> None:
    """Whatever a vendor counted, no part is negative and the parts never exceed their whole."""
    usage = Usage.of(inp, read, write, out, reasoning)
    assert (usage.input_tokens, usage.output_tokens) == (max(0, inp), max(0, out))
    assert min(usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens) >= 0
    assert usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.reasoning_tokens <= usage.output_tokens


@steady
@given(tokens, tokens, tokens, tokens, tokens)
def test_numbers_that_add_up_are_kept(uncached: int, read: int, write: int, plain: int, reasoning: int) -> None:
    """A usage whose parts fit into their whole is taken as the vendor told it."""
    usage = Usage.of(uncached + read + write, read, write, plain + reasoning, reasoning)
    assert usage == Usage(uncached + read + write, read, write, plain + reasoning, reasoning)


@steady
@given(usages, rates, multipliers)
def test_no_usage_costs_more_than_its_ceiling(usage: Usage, rates: Rates, multiplier_ppm: int) -> None:
    """However the same totals are split into classes, they cost no more than the ceiling."""
    ceiling = ceiling_nano(usage.input_tokens, usage.output_tokens, rates, multiplier_ppm)
    assert 0 <= cost_nano(usage, rates, multiplier_ppm) <= ceiling


@steady
@given(tokens, tokens, rates, multipliers)
def test_some_usage_costs_its_ceiling(inp: int, out: int, rates: Rates, multiplier_ppm: int) -> None:
    """The ceiling is no higher than need be: the totals in their dearest classes cost exactly that."""
    splits = [Usage(inp, *cached, out, thought) for cached in [(0, 0), (inp, 0), (0, inp)] for thought in (0, out)]
    ceiling = ceiling_nano(inp, out, rates, multiplier_ppm)
    assert ceiling == max(cost_nano(usage, rates, multiplier_ppm) for usage in splits)


def test_the_examples_in_the_docstrings_are_true() -> None:
    """What `pricing` shows as an example is what it computes."""
    result = doctest.testmod(pricing)
    assert result.attempted > 0
    assert result.failed == 0
