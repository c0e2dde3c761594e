"""Money is an integer count of nano-USD. No floats, no rounding but the one in `pricing`."""

import re
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

NANO_PER_USD = 1_000_000_000

MAX_ACCOUNT_NANO = 2**53 - 1
"""Redis scripts count in doubles, which are exact up to here: about 9.0 million USD per account."""

_EXACT = Context(prec=28, traps=[Inexact, InvalidOperation, Overflow])


def parse_usd(text: str) -> int:
    """'12.50' → 12_500_000_000 nano-USD. Raises `ValueError` for what is no amount or finer than a nano."""
    try:
        nano = _EXACT.multiply(Decimal(text.strip().removeprefix("$")), NANO_PER_USD)
    except (InvalidOperation, Overflow):
        raise ValueError(f"{text!r} is not an amount in USD, such as 12.50") from None
    except Inexact:
        raise ValueError(f"{text!r} is finer than 0.000000001 USD") from None
    if not nano.is_finite() or nano != nano.to_integral_value():
        raise ValueError(f"{text!r} is finer than 0.000000001 USD, or not a number")
    return int(nano)


def format_usd(nano: int) -> str:
    """12_500_000_000 → '12.50 USD', 1 → '0.000000001 USD': exact, with at least two decimals."""
    return f"{decimal_usd(nano)} USD"


def decimal_usd(nano: int) -> str:
    """The same without the unit."""
    sign = "-" if nano < 0 else ""
    whole, part = divmod(abs(nano), NANO_PER_USD)
    decimals = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


_CURRENCY = re.compile(r"([A-Z]{3}):(\d{1,6}(?:\.\d{1,9})?)")


@dataclass(frozen=True, slots=True)
class Currency:
    """Another currency that amounts are shown in beside USD, at a fixed rate: so many units per USD."""

    code: str
    per_usd: Decimal

    @classmethod
    def parse(cls, text: str) -> "Currency":
        """'EUR:0.92' → the euro at 0.92 to the dollar. Raises `ValueError`."""
        match = _CURRENCY.fullmatch(text)
        if match is None or not Decimal(match[2]):
            raise ValueError(f"{text!r} is no currency and its units per USD, such as EUR:0.92")
        return cls(match[1], Decimal(match[2]))

    def beside(self, nano: int) -> str:
        """12_500_000_000 → '12.50 USD (11.50 EUR)': exact in USD, rounded to a millionth in the other."""
        units = (nano * self.per_usd / NANO_PER_USD).quantize(Decimal("0.000001"))
        whole, _, part = f"{units:f}".partition(".")
        return f"{format_usd(nano)} ({whole}.{part.rstrip('0').ljust(2, '0')} {self.code})"
