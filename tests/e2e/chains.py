"""The configuration in `tests/e2e/config`, and the environment it refers to."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.odd_vendor import OddVendor

CHAINS = Path(__file__).parent / "config"
CHANNELS: dict[str, dict[str, Any]] = yaml.safe_load((CHAINS / "channels.yaml").read_text())["channels"]


def variable(channel: str) -> str:
    """The environment variable of a channel's credential."""
    return "KEY_" + re.sub(r"[^A-Z0-9]", "_", channel.upper())


def credential(channel: str) -> str:
    """A channel's credential: no other's contains it."""
    return f"secret.of.{channel}.end"


def environment(odd_vendor: OddVendor) -> dict[str, str]:
    """All that the YAML refers to."""
    return {"ODD_PORT": str(odd_vendor.port), **{variable(name): credential(name) for name in CHANNELS}}
