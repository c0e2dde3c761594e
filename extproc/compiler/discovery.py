"""What Envoy reads from files: a DiscoveryResponse as JSON, from messages that envoy-data-plane types."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import betterproto2
from envoy_data_plane.google import protobuf

Json = dict[str, Any]

_MISSPELLED: Final = {"consecutive_5_xx": "consecutive_5xx"}
"""Field names that betterproto2 0.9 spells wrongly in snake case, and the right ones."""


def pack(message: betterproto2.Message) -> protobuf.Any:
    """The message as an Any, as Envoy's `typed_config` fields want it."""
    return protobuf.Any.pack(message)


def as_json(message: betterproto2.Message) -> Json:
    """The message in protobuf's JSON form with Envoy's own field names, "@type" first where it is an Any."""
    spelled: Json = _respell(message.to_dict(casing=betterproto2.Casing.SNAKE))
    return spelled


def discovery_file(revision: str, resources: Sequence[Mapping[str, Any]]) -> str:
    """A file for CDS, EDS or SDS. Same revision and resources, same bytes.

    Envoy reports `version_info` in its statistics, so it names the revision and is different whenever the content is.
    """
    digest = hashlib.sha256(json.dumps(resources).encode()).hexdigest()[:12]
    document = {"version_info": f"{revision}-{digest}", "resources": resources}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _respell(value: Any) -> Any:
    if isinstance(value, dict):
        return {_MISSPELLED.get(key, key): _respell(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_respell(inner) for inner in value]
    return value
