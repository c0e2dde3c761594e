"""Checked specs → the frozen catalog, and the revision that names what the files say."""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal

from extproc.config.document import Value
from extproc.config.schema import ChannelSpec, GroupSpec, ModelSpec
from extproc.core.catalog import Catalog, Channel, Group, Member, Model

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
) -> Catalog:
    """The catalog of these channels; a group's members and models are those that they leave it."""
    built_channels = {name: _channel(name, spec) for name, spec in channels.items()}
    built_groups = {name: _group(name, spec, built_channels) for name, spec in groups.items()}
    built_models = {name: _model(name, spec) for name, spec in models.items()}
    return Catalog.of(revision, built_channels, built_models, built_groups)


def _channel(name: str, spec: ChannelSpec) -> Channel:
    models = {public: vendor or public for public, vendor in spec.models.items()}
    return Channel(name, spec.dialect, spec.base_url, spec.credential, models)


def _model(name: str, spec: ModelSpec) -> Model:
    return Model(name, spec.prices(), spec.generates, spec.max_output_tokens or 0)


def _group(name: str, spec: GroupSpec, channels: Mapping[str, Channel]) -> Group:
    members = tuple(
        Member(channels[member.channel], member.priority, member.weight)
        for member in spec.channels
        if member.channel in channels
    )
    served = frozenset(model for member in members for model in member.channel.models)
    models = served if spec.models is None else served & frozenset(spec.models)
    return Group(name, spec.multiplier, models, members, spec.requests_per_minute or 0, spec.tokens_per_minute or 0)
