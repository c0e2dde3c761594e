"""A model's price as callers read it: what their key pays, in USD, in the words of `models.yaml`.

Tokens cost what is named per million of them; a class that is not named costs what its whole does. Each amount is a
decimal string, exact: it is no number, for a reader would make a binary fraction of it.
"""

from typing import Any

from extproc.core.pricing import ONE, Price, Rates, UnitKind

_UNITS = {
    UnitKind.IMAGE: "per_image",
    UnitKind.SECOND: "per_second",
    UnitKind.MINUTE: "per_minute",
    UnitKind.CHARACTER: "per_million_characters",
    UnitKind.SEARCH: "per_search",
}
_WHOLES = {
    "input": "",
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "input_audio": "input",
    "input_image": "input",
    "output": "",
    "reasoning": "output",
    "output_audio": "output",
    "output_image": "output",
}
"""The classes of tokens, each with what it costs if it is not named; nothing, if that is nothing."""

_USD = 1_000_000_000 * ONE * ONE
_DIGITS = len(str(_USD)) - 1


def price_list(price: Price, multiplier_ppm: int, discount_ppm: int) -> dict[str, Any]:
    """What everything costs at this multiplier and discount (both in millionths)."""
    factor = multiplier_ppm * discount_ppm
    found = _rates(price.terms.rates, factor)
    for unit in price.units:
        entry = {"price": _usd(unit.rate.nano, factor), **unit.when}
        found.setdefault(_UNITS[unit.rate.kind], []).append(entry)
    if price.terms.tiers:
        found["tiers"] = [{"above": tier.above_tokens, **_rates(tier.rates, factor)} for tier in price.terms.tiers]
    return found


def _rates(rates: Rates, factor: int) -> dict[str, Any]:
    found = {name: getattr(rates, name) for name in _WHOLES}
    named = {name: rate for name, rate in found.items() if rate != found.get(_WHOLES[name], 0)}
    call = {"per_call": rates.call} if rates.call else {}
    return {name: _usd(nano, factor) for name, nano in (named | call).items()}


def _usd(nano: int, factor: int) -> str:
    whole, part = divmod(nano * factor, _USD)
    decimals = f"{part:0{_DIGITS}d}".rstrip("0")
    return f"{whole}.{decimals}" if decimals else str(whole)
