"""A model's price as callers read it: what their key pays, in USD, in the words of `models.yaml`.

Tokens cost what is named per million of them; a class that is not named costs what its whole does. Each amount is a
decimal string, exact: it is no number, for a reader would make a binary fraction of it.
"""

from typing import Any

from extproc.core.pricing import COUNTED, ONE, UNITS, WHOLES, Price, Rates

_UNIT_NAMES = {kind: name for name, (kind, _) in UNITS.items()}

_USD = 1_000_000_000 * ONE * ONE
_DIGITS = len(str(_USD)) - 1


def price_list(price: Price, multiplier_ppm: int, discount_ppm: int) -> dict[str, Any]:
    """What everything costs at this multiplier and discount (both in millionths)."""
    factor = multiplier_ppm * discount_ppm
    found = _rates(price.terms.rates, factor)
    for unit in price.units:
        entry = {"price": _usd(unit.rate.nano, factor), **unit.when}
        found.setdefault(_UNIT_NAMES[unit.rate.kind], []).append(entry)
    if price.terms.tiers:
        found["tiers"] = [{"above": tier.above_tokens, **_rates(tier.rates, factor)} for tier in price.terms.tiers]
    return found


def _rates(rates: Rates, factor: int) -> dict[str, Any]:
    found = {name: getattr(rates, name) for name in COUNTED}
    named = {name: rate for name, rate in found.items() if rate != found.get(WHOLES.get(name, ""), 0)}
    call = {"per_call": rates.call} if rates.call else {}
    return {name: _usd(nano, factor) for name, nano in (named | call).items()}


def _usd(nano: int, factor: int) -> str:
    whole, part = divmod(nano * factor, _USD)
    decimals = f"{part:0{_DIGITS}d}".rstrip("0")
    return f"{whole}.{decimals}" if decimals else str(whole)
