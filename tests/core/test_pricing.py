"""The cost is the exact sum, rounded half up once; no token is charged twice; the ceiling is one."""

import doctest
from dataclasses import asdict, replace
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core import pricing
from extproc.core.pricing import (
    FREE,
    ONE,
    Estimate,
    Rates,
    Terms,
    Tier,
    UnitKind,
    UnitRate,
    Usage,
    ceiling_nano,
    cost_nano,
)
from tests.core.samples import PARTS, RATES, multipliers, rates, steady, terms, tokens, usages

any_count = st.integers(-(10**12), 10**12)


IMAGES = replace(FREE, unit=UnitRate(UnitKind.IMAGE, 40_000_000))
MINUTES = replace(FREE, unit=UnitRate(UnitKind.MINUTE, 6_000_000, 60_000))
CHARACTERS = replace(FREE, unit=UnitRate(UnitKind.CHARACTER, 15_000_000_000, 1_000_000))
"""4 cents an image, 0.6 cents a minute, 15 dollars a million characters."""


def exact_cost(usage: Usage, rates: Rates, multiplier_ppm: int, discount_ppm: int = ONE) -> Fraction:
    """The formula at the top of the module, in fractions."""
    classes = {
        "input": usage.plain_input_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "input_audio": usage.input_audio_tokens,
        "input_image": usage.input_image_tokens,
        "output": usage.plain_output_tokens,
        "reasoning": usage.reasoning_tokens,
        "output_audio": usage.output_audio_tokens,
        "output_image": usage.output_image_tokens,
    }
    total = Fraction(rates.call)
    total += sum(Fraction(count * getattr(rates, name), 1_000_000) for name, count in classes.items())
    if rates.unit:
        total += Fraction(usage.units * rates.unit.nano, rates.unit.per)
    return total * Fraction(multiplier_ppm, ONE) * Fraction(discount_ppm, ONE)


@steady
@given(usages, rates, multipliers, st.integers(0, ONE))
def test_the_cost_is_the_exact_sum_rounded_half_up(
    usage: Usage, rates: Rates, multiplier_ppm: int, discount_ppm: int
) -> None:
    """Integer arithmetic gives what fractions give, rounded once at the end."""
    exact = exact_cost(usage, rates, multiplier_ppm, discount_ppm)
    assert cost_nano(usage, rates, multiplier_ppm, discount_ppm) == floor(exact + Fraction(1, 2))


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
        pytest.param(Usage(), replace(FREE, call=20_000_000), ONE, 20_000_000, id="a call"),
        pytest.param(Usage(units=3), IMAGES, ONE, 120_000_000, id="3 images"),
        pytest.param(
            Usage(units=90_500),
            MINUTES,
            ONE,
            9_050_000,
            id="90.5 s at 0.006 a minute",
        ),
        pytest.param(
            Usage(units=1_234),
            CHARACTERS,
            ONE,
            18_510_000,
            id="characters",
        ),
        pytest.param(
            Usage.of(1_000, input_audio=400, output_tokens=100, output_audio=60),
            Rates.of(2_500_000_000, 10_000_000_000, input_audio=32_000_000_000, output_audio=64_000_000_000),
            ONE,
            600 * 2_500 + 400 * 32_000 + 40 * 10_000 + 60 * 64_000,
            id="audio in and out",
        ),
        pytest.param(
            Usage.of(1_000, cache_read=100, cache_write=200, cache_write_1h=300),
            Rates.of(3_000_000_000, cache_read=300_000_000, cache_write=3_750_000_000, cache_write_1h=6_000_000_000),
            ONE,
            400 * 3_000 + 100 * 300 + 200 * 3_750 + 300 * 6_000,
            id="an hour of cache",
        ),
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
    usage, same = replace(usage, units=0), Rates.of(rate, rate)
    assert cost_nano(usage, same, multiplier_ppm) == cost_nano(whole, same, multiplier_ppm)


@steady
@given(any_count, any_count, st.lists(any_count, min_size=9, max_size=9))
def test_a_usage_always_adds_up(inp: int, out: int, parts: list[int]) -> None:
    """Whatever a vendor counted, no part is negative and the parts never exceed their whole."""
    read, write, reasoning, *others = parts
    usage = Usage.of(inp, read, write, out, reasoning, **dict(zip(PARTS, others, strict=True)))
    assert (usage.input_tokens, usage.output_tokens) == (max(0, inp), max(0, out))
    assert min(asdict(usage).values()) >= 0
    assert min(usage.plain_input_tokens, usage.plain_output_tokens) >= 0


@steady
@given(tokens, tokens, tokens, tokens, tokens)
def test_numbers_that_add_up_are_kept(uncached: int, read: int, write: int, plain: int, reasoning: int) -> None:
    """A usage whose parts fit into their whole is taken as the vendor told it."""
    usage = Usage.of(uncached + read + write, read, write, plain + reasoning, reasoning)
    assert usage == Usage(uncached + read + write, read, write, plain + reasoning, reasoning)


def estimate_of(usage: Usage) -> Estimate:
    """What such a request is estimated at, if it is estimated right."""
    return Estimate(usage.input_tokens, usage.output_tokens, usage.units, input_media=True, output_media=True)


@steady
@given(usages, terms, multipliers)
def test_no_usage_costs_more_than_its_ceiling(usage: Usage, terms: Terms, multiplier_ppm: int) -> None:
    """However the same totals are split into classes, they cost no more than the ceiling."""
    ceiling = ceiling_nano(estimate_of(usage), terms, multiplier_ppm)
    assert 0 <= cost_nano(usage, terms.rates_for(usage.input_tokens), multiplier_ppm) <= ceiling


@steady
@given(tokens, tokens, rates, multipliers)
def test_some_usage_costs_its_ceiling(inp: int, out: int, rates: Rates, multiplier_ppm: int) -> None:
    """The ceiling of text is no higher than need be: the totals in their dearest classes cost exactly that."""
    into = [{}, {"cache_read": inp}, {"cache_write": inp}, {"cache_write_1h": inp}]
    splits = [Usage.of(inp, output_tokens=out, reasoning=thought, **parts) for parts in into for thought in (0, out)]
    ceiling = ceiling_nano(Estimate(inp, out), Terms(rates), multiplier_ppm)
    assert ceiling == max(cost_nano(usage, rates, multiplier_ppm) for usage in splits)


def test_audio_is_held_only_where_there_may_be_some() -> None:
    """A prompt of text is not held at the price of audio, nor an answer of text."""
    rates = Rates.of(1_000_000, 1_000_000, input_audio=10_000_000, output_audio=100_000_000)
    held = [
        ceiling_nano(Estimate(1, 1, 0, into, out), Terms(rates), ONE) for into in (False, True) for out in (False, True)
    ]
    assert held == [2, 101, 11, 110]


@pytest.mark.parametrize(("input_tokens", "rate"), [(0, 1), (200_000, 1), (200_001, 2), (10**6, 2), (10**6 + 1, 3)])
def test_a_large_input_has_its_own_rates(input_tokens: int, rate: int) -> None:
    """The rates of the largest size that the input exceeds hold for the whole request."""
    terms = Terms(Rates.of(1), (Tier(200_000, Rates.of(2)), Tier(10**6, Rates.of(3))))
    assert terms.rates_for(input_tokens) == Rates.of(rate)


def test_the_examples_in_the_docstrings_are_true() -> None:
    """What `pricing` shows as an example is what it computes."""
    result = doctest.testmod(pricing)
    assert result.attempted > 0
    assert result.failed == 0
