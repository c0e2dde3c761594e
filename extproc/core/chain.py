"""The chain: the ordered attempts of one request, and what each would cost.

    the key's group, priority 0, drawn by weight → priority 1 → … → its first fallback group → …

A channel is tried once, however many groups name it, at the terms of the first that does. The key's own group alone
decides which models there are; fallback groups only lend channels for them. A drained channel is in no chain.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
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


def visible_models(catalog: Catalog, group: str, dialect: Dialect) -> list[Model]:
    """The models a key of this group can call in this dialect, by name: what is not listed is not callable."""
    found = catalog.groups.get(group)
    if found is None:
        return []
    return [catalog.models[name] for name in sorted(found.models) if any(_serving(found, name, dialect))]


def build_chain(
    catalog: Catalog, groups: Sequence[str], model_name: str, operation: Operation, draw: random.Random
) -> tuple[Attempt, ...]:
    """The attempts for one request; empty when the key's group does not offer the model for this operation."""
    primary = catalog.groups.get(groups[0])
    model = catalog.models.get(model_name)
    if primary is None or model is None or model_name not in primary.models:
        return ()
    if operation.output and not model.generates:
        return ()
    if not any(_serving(primary, model_name, operation.dialect)):
        return ()
    known = [catalog.groups[name] for name in groups if name in catalog.groups]
    attempts = (attempt for group in known for attempt in _attempts(group, model, operation.dialect, draw))
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


def _serving(group: Group, model_name: str, dialect: Dialect) -> Iterator[Member]:
    for member in group.members:
        channel = member.channel
        if channel.dialect is dialect and model_name in channel.models and not channel.drained:
            yield member


def _attempts(group: Group, model: Model, dialect: Dialect, draw: random.Random) -> Iterator[Attempt]:
    if model.name not in group.models:
        return
    ordered = sorted(_serving(group, model.name, dialect), key=lambda member: member.priority)
    for _, equals in groupby(ordered, key=lambda member: member.priority):
        for member in _by_weight(list(equals), draw):
            yield _attempt(group, model, member)


def _attempt(group: Group, model: Model, member: Member) -> Attempt:
    channel = member.channel
    vendor_model = channel.models[model.name]
    return Attempt(channel, group.name, group.multiplier_ppm, vendor_model, group.show_channel)


def _by_weight(members: list[Member], draw: random.Random) -> Iterator[Member]:
    """A weighted shuffle: each place is drawn from those left, in proportion to their weights, when it is asked for."""
    left, weight = list(members), sum(member.weight for member in members)
    while len(left) > 1:
        place = draw.random() * weight
        for index, member in enumerate(left):  # noqa: B007 - where it stops is what is wanted
            place -= member.weight
            if place < 0:
                break
        chosen = left.pop(index)
        weight -= chosen.weight
        yield chosen
    yield from left


def _first_of_each_channel(attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    seen: set[str] = set()
    for attempt in attempts:
        if attempt.channel.name not in seen:
            seen.add(attempt.channel.name)
            yield attempt
