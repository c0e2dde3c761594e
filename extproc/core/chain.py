"""The chain: the ordered attempts of one request, and what each would cost.

    the key's group, priority 0, drawn by weight → priority 1 → … → its first fallback group → …

A channel is tried once, however many groups name it, at the terms of the first that does. The key's own group alone
decides which models there are; fallback groups only lend channels for them. A drained channel is in no chain.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from extproc.core.catalog import Catalog, Channel, Dialect, Group, Member, Model, Operation

MAX_ATTEMPTS = 5
"""Vendors asked for one request, at most; `num_retries` in `envoy/envoy.yaml` allows no more."""

MAX_TRY_SECONDS = 600
"""How long an attempt may take until its answer begins, at most; `per_try_timeout` in `envoy/envoy.yaml`."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One channel of the chain, on the terms of the group that put it there; `shown` if the caller may know of it."""

    channel: Channel
    group: str
    multiplier_ppm: int
    vendor_model: str
    shown: bool = False


def visible_models(catalog: Catalog, group: str, operations: Collection[Operation], time_ms: int) -> list[Model]:
    """The models a key of this group can call by one of these operations now, by name.

    What is not listed is not callable. Counting the tokens of a model is not calling it.
    """
    found = catalog.groups.get(group)
    models = [catalog.models[name] for name in sorted(found.models)] if found else []
    return [each for each in models if any(_callable(catalog, group, each, one, time_ms) for one in operations)]


def build_chain(
    catalog: Catalog, groups: Sequence[str], model_name: str, operation: Operation, draw: random.Random
) -> tuple[Attempt, ...]:
    """The attempts for one request; empty when the key's group does not offer the model for this operation."""
    model = catalog.models.get(model_name)
    if model is None or not _offered(catalog, groups[0], model, operation):
        return ()
    ranks = (rank for name in groups for rank in _ranks(catalog, name, model, operation.dialect))
    attempts = (attempt for rank in ranks for attempt in _by_weight(rank, draw))
    return tuple(islice(_first_of_each_channel(attempts), MAX_ATTEMPTS))


def attempt_over(
    catalog: Catalog, group_name: str, channel_name: str, model_name: str, operation: Operation
) -> Attempt | None:
    """The attempt that this group puts into a chain for this channel; None when it puts none."""
    group, model = catalog.groups.get(group_name), catalog.models.get(model_name)
    if group is None or model is None or model_name not in group.models or (operation.output and not model.generates):
        return None
    serving = _serving(group, model_name, operation.dialect)
    return next((_attempt(group, model, member) for member in serving if member.channel.name == channel_name), None)


def _callable(catalog: Catalog, group_name: str, model: Model, operation: Operation, time_ms: int) -> bool:
    """Whether the operation has a price: what none of a model's units are for is paid by tokens or by the call."""
    price = model.price_at(time_ms)
    units = {unit.rate.kind for unit in price.units}
    rates = price.terms.rates
    priced = not units or units & {*operation.units} or rates.by_tokens or rates.call
    return operation.priced and bool(priced) and _offered(catalog, group_name, model, operation)


def _offered(catalog: Catalog, group_name: str, model: Model, operation: Operation) -> bool:
    produces = model.generates or not operation.output
    return produces and bool(_ranks(catalog, group_name, model, operation.dialect))


def _serving(group: Group, model_name: str, dialect: Dialect) -> Iterator[Member]:
    for member in group.members:
        channel = member.channel
        if channel.dialect is dialect and model_name in channel.models and not channel.drained:
            yield member


_Rank = Sequence[tuple[Attempt, int]]
"""The attempts of one priority, each with its weight."""


def _ranks(catalog: Catalog, group_name: str, model: Model, dialect: Dialect) -> Sequence[_Rank]:
    """What a group has for a model, by priority: worked out once, and then remembered with the catalog."""
    asked = (group_name, model.name, dialect)
    if asked not in catalog.remembered:
        group = catalog.groups.get(group_name)
        catalog.remembered[asked] = _rank(group, model, dialect) if group and model.name in group.models else ()
    ranks: Sequence[_Rank] = catalog.remembered[asked]
    return ranks


def _rank(group: Group, model: Model, dialect: Dialect) -> Sequence[_Rank]:
    ordered = sorted(_serving(group, model.name, dialect), key=lambda member: member.priority)
    ranks = groupby(ordered, key=lambda member: member.priority)
    return [[(_attempt(group, model, member), member.weight) for member in equals] for _, equals in ranks]


def _attempt(group: Group, model: Model, member: Member) -> Attempt:
    channel = member.channel
    vendor_model = channel.models[model.name]
    return Attempt(channel, group.name, group.multiplier_ppm, vendor_model, group.show_channel)


def _by_weight(rank: _Rank, draw: random.Random) -> Iterator[Attempt]:
    """A weighted shuffle: each place is drawn from those left, in proportion to their weights, when it is asked for."""
    left, total = list(rank), sum(weight for _, weight in rank)
    while len(left) > 1:
        place = draw.random() * total
        for index, (_, weight) in enumerate(left):  # noqa: B007 - where it stops is what is wanted
            place -= weight
            if place < 0:
                break
        attempt, weight = left.pop(index)
        total -= weight
        yield attempt
    yield left[0][0]


def _first_of_each_channel(attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    seen: set[str] = set()
    for attempt in attempts:
        if attempt.channel.name not in seen:
            seen.add(attempt.channel.name)
            yield attempt
