"""What callers read of a price is what they pay."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.config.schema import PriceSpec
from extproc.core.pricing import ONE, Price, Rates, Terms, Usage, cost_nano
from extproc.dialects.price_list import price_list
from tests.core.samples import multipliers, steady

rates = st.builds(Rates.of, *[st.integers(0, 10**15)] * 2, cache_read=st.integers(0, 10**15))


def priced(**written: Any) -> Price:
    """The price that `models.yaml` says with these keys."""
    return PriceSpec.model_validate(written).price()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"input": 2}, {"input": "2"}),
        ({"input": Decimal("0.25"), "output": 2}, {"input": "0.25", "output": "2"}),
        (
            {"input": 2, "cache_read": 0, "cache_write": 3, "output": 4, "reasoning": 5},
            {"input": "2", "cache_read": "0", "cache_write": "3", "output": "4", "reasoning": "5"},
        ),
        ({"input": 2, "cache_read": 2, "output": 4, "reasoning": 4}, {"input": "2", "output": "4"}),
        ({"input": 0, "output": 0}, {}),
        ({"per_call": Decimal("0.01")}, {"per_call": "0.01"}),
        ({"per_minute": Decimal("0.006")}, {"per_minute": [{"price": "0.006"}]}),
        ({"per_search": Decimal("0.002")}, {"per_search": [{"price": "0.002"}]}),
        ({"per_million_characters": 15}, {"per_million_characters": [{"price": "15"}]}),
        (
            {"per_image": [{"price": Decimal("0.04"), "size": "1024x1024"}, {"price": Decimal("0.08")}]},
            {"per_image": [{"price": "0.04", "size": "1024x1024"}, {"price": "0.08"}]},
        ),
        (
            {"per_second": [{"price": Decimal("0.1"), "resolution": "720p"}], "per_call": 1},
            {"per_call": "1", "per_second": [{"price": "0.1", "resolution": "720p"}]},
        ),
        (
            {"input": 1, "output": 2, "tiers": [{"above": 200_000, "input": 2, "output": 3}]},
            {"input": "1", "output": "2", "tiers": [{"above": 200_000, "input": "2", "output": "3"}]},
        ),
    ],
)
def test_a_price_is_told_in_the_words_it_was_written_in(written: dict[str, Any], told: dict[str, Any]) -> None:
    """What costs something else than the whole it is part of is named, and nothing else."""
    assert price_list(priced(**written), ONE, ONE) == told


def test_multiplier_and_discount_are_applied_exactly() -> None:
    """0.000000001 USD × 0.950007 × 0.9 has 16 decimals, and all of them are told."""
    tiny = priced(input=Decimal("0.000000001"))
    assert price_list(tiny, 950_007, 900_000) == {"input": "0.0000000008550063"}


@steady
@given(rates, multipliers, multipliers)
def test_what_is_told_is_what_is_charged(told: Rates, multiplier_ppm: int, discount_ppm: int) -> None:
    """A million tokens of a class cost, rounded to a nano, the amount that stands at the class or at its whole."""
    found = price_list(Price(Terms(told)), multiplier_ppm, discount_ppm)
    million = 1_000_000
    for usage, name, whole in (
        (Usage.of(million), "input", "input"),
        (Usage.of(million, cache_read=million), "cache_read", "input"),
        (Usage.of(0, output_tokens=million), "output", "output"),
        (Usage.of(0, output_tokens=million, reasoning=million), "reasoning", "output"),
    ):
        usd = Decimal(found.get(name, found.get(whole, "0")))
        charged = cost_nano(usage, told, multiplier_ppm, discount_ppm)
        assert abs(usd * 1_000_000_000 - charged) <= Decimal("0.5")
