"""Checked specs → the frozen catalog, with a revision that names what it says."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from extproc.config.schema import ChannelSpec, GroupSpec, ModelSpec
from extproc.core.catalog import Catalog, Channel, Group, Member, Model

_REVISION_DIGITS = 12


def build_catalog(
    channels: Mapping[str, ChannelSpec], groups: Mapping[str, GroupSpec], models: Mapping[str, ModelSpec]
) -> Catalog:
    """The catalog of these channels; a group's members and models are those that they leave it."""
    built_channels = {name: _channel(name, spec) for name, spec in channels.items()}
    built_groups = {name: _group(name, spec, built_channels) for name, spec in groups.items()}
    built_models = {name: _model(name, spec) for name, spec in models.items()}
    return Catalog.of(_revision(built_channels, built_groups, built_models), built_channels, built_models, built_groups)


def _channel(name: str, spec: ChannelSpec) -> Channel:
    models = {public: vendor or public for public, vendor in spec.models.items()}
    return Channel(name, spec.dialect, spec.base_url, spec.credential, models)


def _model(name: str, spec: ModelSpec) -> Model:
    return Model(name, spec.price.rates(), spec.generates, spec.max_output_tokens or 0)


def _group(name: str, spec: GroupSpec, channels: Mapping[str, Channel]) -> Group:
    members = tuple(
        Member(channels[member.channel], member.priority, member.weight)
        for member in spec.channels
        if member.channel in channels
    )
    served = frozenset(model for member in members for model in member.channel.models)
    return Group(name, spec.multiplier, served if spec.models is None else served & frozenset(spec.models), members)


def _revision(channels: Mapping[str, Channel], groups: Mapping[str, Group], models: Mapping[str, Model]) -> str:
    """The first 12 hex digits of a SHA-256 over what the catalog says.

    Comments, layout, the order of keys, the folder and the files' times do not count, so equal configurations have
    equal revisions wherever they are. What the environment changes does count: a base URL with another port, or an
    optional channel that is left out because its credential is not set.
    """
    content: dict[str, Any] = {
        "channels": {name: asdict(channel) for name, channel in channels.items()},
        "models": {name: asdict(model) for name, model in models.items()},
        "groups": {name: _canonical(group) for name, group in groups.items()},
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_REVISION_DIGITS]


def _canonical(group: Group) -> dict[str, Any]:
    members = [[member.channel.name, member.priority, member.weight] for member in group.members]
    return {"multiplier_ppm": group.multiplier_ppm, "models": sorted(group.models), "members": members}
