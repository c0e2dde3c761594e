"""`tollgate price`: what a request costs, line by line."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Annotated

import typer

from extproc.cli import options
from extproc.cli.cost_lines import MILLISECONDS, lines_table, shown_lines, times_of
from extproc.cli.printing import console, money, print_json
from extproc.clock import now_ms
from extproc.config.load import load
from extproc.config.problems import there_is_no
from extproc.core.catalog import Catalog, Group, Model
from extproc.core.explain import explain
from extproc.core.pricing import Rates, Terms, UnitKind, Usage, cost_nano
from extproc.errors import TollgateError

Said = Annotated[str | None, typer.Option(help="What the price of a unit depends on.")]
At = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The price of that day (UTC); default: now.")]


@dataclass(frozen=True, slots=True)
class _Priced:
    """A usage, and what decides its price."""

    model: Model
    group: Group
    usage: Usage
    terms: Terms
    discount_ppm: int

    @property
    def rates(self) -> Rates:
        return self.terms.rates_for(self.usage.input_tokens)

    @property
    def above_tokens(self) -> int | None:
        """The size of the tier it is in, if it is in one."""
        return max((tier.above_tokens for tier in self.terms.tiers if tier.rates is self.rates), default=None)


def price(
    model: Annotated[str, typer.Argument(help="The public name of the model.")],
    group: Annotated[str, typer.Option(help="The group whose multiplier applies.")] = "default",
    input: Annotated[int, typer.Option(min=0, help="Input tokens, whatever class they are of.")] = 0,
    output: Annotated[int, typer.Option(min=0, help="Output tokens, whatever class they are of.")] = 0,
    cached: Annotated[int, typer.Option(min=0, help="Of the input: read from the vendor's cache.")] = 0,
    cache_write: Annotated[int, typer.Option(min=0, help="Of the input: written to the cache, for 5 minutes.")] = 0,
    cache_write_1h: Annotated[int, typer.Option("--cache-write-1h", min=0, help="The same, for an hour.")] = 0,
    input_audio: Annotated[int, typer.Option(min=0, help="Of the input: audio.")] = 0,
    input_image: Annotated[int, typer.Option(min=0, help="Of the input: images.")] = 0,
    reasoning: Annotated[int, typer.Option(min=0, help="Of the output: hidden reasoning.")] = 0,
    output_audio: Annotated[int, typer.Option(min=0, help="Of the output: audio.")] = 0,
    output_image: Annotated[int, typer.Option(min=0, help="Of the output: images.")] = 0,
    images: Annotated[int | None, typer.Option(min=0, help="Images.")] = None,
    seconds: Annotated[str | None, typer.Option(help="Seconds of audio or video, such as 4.5.")] = None,
    characters: Annotated[int | None, typer.Option(min=0, help="Characters of text to speak.")] = None,
    searches: Annotated[int | None, typer.Option(min=0, help="Searches of a ranking.")] = None,
    size: Said = None,
    quality: Said = None,
    resolution: Said = None,
    discount: options.Discount = "1",
    at: At = None,
    config: options.Config = options.CONFIG,
    json: options.Json = False,
) -> None:
    """Explain what a request costs, line by line: the total is what would be charged, to the nano-dollar.

    Tokens are inclusive: cached tokens are part of --input, reasoning tokens of --output.
    """
    catalog = load(config, os.environ, require_credentials=False).catalog
    chosen, billed = _find(catalog, model, group)
    said = {"size": size, "quality": quality, "resolution": resolution}
    terms = _terms(chosen, {name: value for name, value in said.items() if value}, at)
    parts = {"cache_read": cached, "cache_write": cache_write, "cache_write_1h": cache_write_1h}
    parts |= {"input_audio": input_audio, "input_image": input_image, "reasoning": reasoning}
    parts |= {"output_audio": output_audio, "output_image": output_image}
    counts = {"images": images, "characters": characters, "searches": searches}
    units = _units(chosen, terms.rates, seconds, counts)
    usage = _usage(input, output, parts, units)
    priced = _Priced(chosen, billed, usage, terms, options.factor(discount))
    if json:
        print_json(_shown(priced, catalog.revision))
    else:
        _print(priced, catalog.revision)


def _find(catalog: Catalog, model: str, group: str) -> tuple[Model, Group]:
    if group not in catalog.groups:
        raise TollgateError(there_is_no("group", group, catalog.groups))
    if model not in catalog.models:
        raise TollgateError(there_is_no("model", model, catalog.models))
    if model not in catalog.groups[group].models:
        raise TollgateError(f"group {group} does not offer {model}")
    return catalog.models[model], catalog.groups[group]


def _terms(model: Model, said: dict[str, str], at: datetime | None) -> Terms:
    time_ms = int(at.replace(tzinfo=UTC).timestamp() * 1000) if at else now_ms()
    price = model.price_at(time_ms)
    terms = price.terms_for(said)
    if terms is None:
        there = "; ".join(", ".join(f"{name} {value}" for name, value in unit.when.items()) for unit in price.units)
        asked = ", ".join(f"{name} {value}" for name, value in said.items()) or "a request that says nothing else"
        raise TollgateError(f"{model.name} has no price for {asked}; it has one for {there}")
    return terms


_COUNTED = {"images": UnitKind.IMAGE, "characters": UnitKind.CHARACTER, "searches": UnitKind.SEARCH}


def _units(model: Model, rates: Rates, seconds: str | None, counts: Mapping[str, int | None]) -> int:
    """How many units, in the smallest measure. Raises `TollgateError` where the price is for something else."""
    kind = rates.unit.kind if rates.unit else None
    told = {option: count for option, count in counts.items() if count is not None}
    wrong = [option for option in told if _COUNTED[option] is not kind]
    if seconds is not None and kind not in MILLISECONDS:
        wrong.append("seconds")
    if wrong:
        raise TollgateError(f"{model.name} is not priced by {wrong[0]}")
    return _milliseconds(seconds) if seconds is not None else sum(told.values())


def _milliseconds(seconds: str) -> int:
    try:
        milliseconds = Fraction(seconds) * 1000
    except (ValueError, ZeroDivisionError):
        raise TollgateError(f"{seconds!r} is no number of seconds, such as 4.5") from None
    if milliseconds < 0 or milliseconds.denominator != 1:
        raise TollgateError(f"{seconds} is negative, or finer than a millisecond")
    return int(milliseconds)


def _usage(input_tokens: int, output_tokens: int, parts: dict[str, int], units: int) -> Usage:
    usage = Usage.of(input_tokens, output_tokens=output_tokens, units=units, **parts)
    for name, count in parts.items():
        if getattr(usage, f"{name}_tokens") != count:
            whole = "--output" if name in ("reasoning", "output_audio", "output_image") else "--input"
            raise TollgateError(
                f"the classes of {whole} are more than {whole} itself: it has the tokens of every class"
            )
    return usage


def _print(priced: _Priced, revision: str) -> None:
    tier = f", above {priced.above_tokens:,} input tokens" if priced.above_tokens else ""
    console.print(f"{priced.model.name} in group {priced.group.name}{tier}; revision {revision}", markup=False)
    lines = explain(priced.usage, priced.rates, priced.group.multiplier_ppm, priced.discount_ppm)
    lines_table(lines, times_of(priced.group.multiplier_ppm, priced.discount_ppm))
    nano = cost_nano(priced.usage, priced.rates, priced.group.multiplier_ppm, priced.discount_ppm)
    console.print(f"Together {nano} nano, {money(nano)}.")


def _shown(priced: _Priced, revision: str) -> dict[str, object]:
    multiplier, discount = priced.group.multiplier_ppm, priced.discount_ppm
    return {
        "model": priced.model.name,
        "group": priced.group.name,
        "revision": revision,
        "multiplier_ppm": multiplier,
        "discount_ppm": discount,
        "above_tokens": priced.above_tokens,
        "lines": shown_lines(explain(priced.usage, priced.rates, multiplier, discount)),
        "cost_nano": cost_nano(priced.usage, priced.rates, multiplier, discount),
    }
