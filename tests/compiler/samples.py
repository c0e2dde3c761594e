"""Catalogs for the compiler's tests, read from the smallest YAML that says what a channel is."""

from pathlib import Path
from typing import Any

import yaml

from extproc.compiler.edge import Edge
from extproc.core.catalog import Catalog, Channel, Dialect, SecretRef

REPOSITORY = Path(__file__).parents[2]
BOOTSTRAP = (REPOSITORY / "envoy" / "envoy.yaml").read_text()
EDGE = Edge()


def catalog_of(*channels: Channel, revision: str = "r1") -> Catalog:
    """A catalog of these channels alone."""
    return Catalog.of(revision, {channel.name: channel for channel in channels}, {}, {})


def channel_of(name: str, base_url: str, credential: str | None = None, dialect: str = "openai") -> Channel:
    """A channel, its credential written as in the YAML."""
    reference = SecretRef(*credential.split(":", 1)) if credential else None
    return Channel(name, Dialect(dialect), base_url, reference, {})


def read_catalog(path: Path) -> Catalog:
    """The catalog that a case describes: `revision` and `channels`."""
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    channels = (channel_of(name, **fields) for name, fields in case["channels"].items())
    return catalog_of(*channels, revision=case["revision"])
