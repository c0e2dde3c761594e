"""The lines of a cost, as commands print them."""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

from extproc.cli.printing import print_table
from extproc.core.explain import CostLine
from extproc.core.money import format_usd
from extproc.core.pricing import ONE, UnitKind

MILLISECONDS = (UnitKind.SECOND, UnitKind.MINUTE)
"""The units that are counted in milliseconds."""


def lines_table(lines: Sequence[CostLine], times: str) -> None:
    """The lines of a cost, each with its rate and `times`, the words for what it is multiplied by."""
    rows = [
        {
            "what": line.what,
            "count": _count(line),
            "rate": _rate(line),
            "times": times,
            "nano": _decimal(line.exact_nano, 3),
            "USD": _decimal(line.exact_nano / 10**9, 12),
        }
        for line in lines
    ]
    print_table(rows, "Nothing is used that costs anything.")


def times_of(multiplier_ppm: int, discount_ppm: int) -> str:
    """What rates are multiplied by: the multiplier, and the discount if there is one."""
    discount = f" × {_decimal(Fraction(discount_ppm, ONE), 6)}" if discount_ppm != ONE else ""
    return f"× {_decimal(Fraction(multiplier_ppm, ONE), 6)}{discount}"


def shown_lines(lines: Sequence[CostLine]) -> list[dict[str, object]]:
    """The same for scripts; what is no whole number of nano-USD is a decimal in text."""
    return [
        {
            "what": line.what,
            "count": line.count,
            "rate_nano": line.rate_nano,
            "per": line.per,
            "nano": _decimal(line.exact_nano, 12),
        }
        for line in lines
    ]


def _count(line: CostLine) -> str:
    if line.what in MILLISECONDS:
        return f"{_decimal(Fraction(line.count, 1000), 3)} s"
    return f"{line.count:,}"


def _rate(line: CostLine) -> str:
    if line.what == "call":
        return format_usd(line.rate_nano)
    measure = line.what if line.what in list(UnitKind) else ""
    each = "million" if line.per == 10**6 and not measure else f"million {measure}s" if line.per == 10**6 else measure
    return f"{format_usd(line.rate_nano)} per {each}"


def _decimal(exact: Fraction, places: int) -> str:
    """With so many decimals at most, and no more than it needs."""
    with localcontext(prec=60):
        rounded = (Decimal(exact.numerator) / exact.denominator).quantize(Decimal(1).scaleb(-places))
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
