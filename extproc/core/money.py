"""Money is an integer count of nano-USD. No floats, no rounding but the one in `pricing`."""

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
    sign = "-" if nano < 0 else ""
    whole, part = divmod(abs(nano), NANO_PER_USD)
    decimals = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals} USD"
