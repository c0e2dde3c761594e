"""What Envoy reads from files: a DiscoveryResponse as YAML, from messages that envoy-data-plane types."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import betterproto2
from envoy_data_plane.google import protobuf
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

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
    digest = hashlib.sha256(_dump({"resources": list(resources)}).encode()).hexdigest()[:12]
    return _dump({"version_info": f"{revision}-{digest}", "resources": list(resources)})


def _respell(value: Any) -> Any:
    if isinstance(value, dict):
        return {_MISSPELLED.get(key, key): _respell(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_respell(inner) for inner in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


def _dump(document: Json) -> str:
    yaml = YAML()
    yaml.width = 4096  # never break a line: a long regex or URL stays in one piece
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()
