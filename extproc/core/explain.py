"""A cost, line by line: what `cost_nano` adds up, before it is rounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from extproc.core.pricing import COUNTED, ONE, TOKENS_PER_RATE, Rates, Usage


@dataclass(frozen=True, slots=True)
class CostLine:
    """One thing that is paid for: `count` of it, at `rate_nano` for each `per`.

    `what` is a class of tokens, `call`, or a kind of unit. `exact_nano` has the multiplier and the discount in it.
    """

    what: str
    count: int
    rate_nano: int
    per: int
    exact_nano: Fraction


def explain(usage: Usage, rates: Rates, multiplier_ppm: int, discount_ppm: int = ONE) -> list[CostLine]:
    """Every class that has tokens, the call if it costs something, and the units. Rounded, the sum is `cost_nano`."""
    times = Fraction(multiplier_ppm * discount_ppm, ONE * ONE)
    return [
        CostLine(what, count, rate, per, Fraction(count * rate, per) * times)
        for what, count, rate, per in _counted(usage, rates)
        if count
    ]


def _counted(usage: Usage, rates: Rates) -> Iterator[tuple[str, int, int, int]]:
    for what, counted in COUNTED.items():
        yield what, getattr(usage, counted), getattr(rates, what), TOKENS_PER_RATE
    if rates.call:
        yield "call", 1, rates.call, 1
    if rates.unit is not None:
        yield rates.unit.kind.value, usage.units, rates.unit.nano, rates.unit.per
