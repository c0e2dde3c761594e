"""Checked specs → the frozen catalog, and the revision that names what the files say."""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal

from extproc.config.document import Value
from extproc.config.schema import ChannelSpec, ChannelState, GroupSpec, ModelSpec, OwnerTierSpec
from extproc.core.catalog import Catalog, Channel, Group, Member, Model
from extproc.core.families import chosen, vendor_names

_REVISION_DIGITS = 12


def revision_of(files: Mapping[str, Value]) -> str:
    """The first 12 hex digits of a SHA-256 over what the files say, which must be free of faults.

    Comments, layout, the order of keys, the folder and the environment do not count, so that a commit has the same
    revision wherever it is read. Nor do defaults that are not written: they are Tollgate's, and may change with it.
    """
    canonical = json.dumps(files, default=_shortest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_REVISION_DIGITS]


def _shortest(number: Decimal) -> int | str:
    """The same for 2, 2.0 and 0.2e1."""
    return int(number) if number == int(number) else str(number.normalize())


def build_catalog(
    revision: str,
    channels: Mapping[str, ChannelSpec],
    groups: Mapping[str, GroupSpec],
    models: Mapping[str, ModelSpec],
    tiers: Mapping[str, OwnerTierSpec],
) -> Catalog:
    """The catalog of these channels; a group's members and models are those that they leave it."""
    built_channels = {name: _channel(name, spec, models) for name, spec in channels.items()}
    built_groups = {name: _group(name, spec, built_channels, models) for name, spec in groups.items()}
    built_models = {name: _model(name, each, spec) for each, spec in models.items() for name in (each, *spec.aliases)}
    built_tiers = {name: frozenset(chosen(spec.groups, groups)) for name, spec in tiers.items()}
    return Catalog.of(revision, built_channels, built_models, built_groups, built_tiers)


def _channel(name: str, spec: ChannelSpec, known: Mapping[str, ModelSpec]) -> Channel:
    served = vendor_names(spec.models, known)
    models = {public: vendor for model, vendor in served.items() for public in (model, *known[model].aliases)}
    drained = spec.state is ChannelState.DRAINED
    return Channel(
        name,
        spec.dialect,
        spec.base_url,
        spec.credential,
        models,
        spec.max_concurrent or 0,
        drained=drained,
        ca_file=spec.ca_file or "",
        insecure_tls=spec.insecure_tls,
    )


def _model(name: str, model: str, spec: ModelSpec) -> Model:
    """One public name: an alias is a model of its own, so that what is listed and recorded is what callers ask for."""
    window, of = spec.context_window or 0, "" if name == model else model
    return Model(name, spec.prices(), spec.generates, spec.max_output_tokens or 0, window, of)


def _group(name: str, spec: GroupSpec, channels: Mapping[str, Channel], known: Mapping[str, ModelSpec]) -> Group:
    members = tuple(
        Member(channels[member.channel], member.priority, member.weight)
        for member in spec.channels
        if member.channel in channels
    )
    models = frozenset(model for member in members for model in member.channel.models)
    if spec.models is not None:
        offered = chosen(spec.models, known)
        models &= frozenset(name for model in offered for name in (model, *known[model].aliases))
    return Group(
        name=name,
        multiplier_ppm=spec.multiplier,
        models=models,
        members=members,
        requests_per_minute=spec.requests_per_minute or 0,
        tokens_per_minute=spec.tokens_per_minute or 0,
        per_try_seconds=spec.per_try_seconds or 0,
        first_byte_seconds=spec.first_byte_seconds or spec.per_try_seconds or 0,
        show_channel=spec.show_channel,
    )
