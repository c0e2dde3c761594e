"""What a request should cost, worked out anew from the YAML a person wrote: no line of the gateway's own arithmetic."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import Customer, Gateway

NANO_PER_USD = 10**9
CLASSES = ("input", "output", "cached", "cache_write", "reasoning")


@dataclass(frozen=True)
class PriceList:
    """The models.yaml and the multipliers of groups.yaml of one folder."""

    prices: Mapping[str, Mapping[str, Any]]
    multipliers: Mapping[str, Fraction]

    @classmethod
    def of(cls, folder: Path) -> "PriceList":
        """Read a folder of YAML; numbers stay the text they were written as."""
        read = {
            name: yaml.load((folder / f"{name}.yaml").read_text(), yaml.BaseLoader) for name in ("models", "groups")
        }
        return cls(
            {name: model["price"] for name, model in read["models"]["models"].items()},
            {name: Fraction(group.get("multiplier", "1")) for name, group in read["groups"]["groups"].items()},
        )

    def nano(self, model: str, usage: Mapping[str, int], group: str = "default") -> int:
        """The charge for inclusive usage, as the simulator says it; rounded half up once."""
        price = {name: Fraction(text) for name, text in self.prices[model].items() if isinstance(text, str)}
        plain_in = price["input"]
        plain_out = price.get("output", Fraction(0))
        read, write, hidden = usage.get("cached", 0), usage.get("cache_write", 0), usage.get("reasoning", 0)
        micro_usd = (
            (usage["input"] - read - write) * plain_in
            + read * price.get("cache_read", plain_in)
            + write * price.get("cache_write", plain_in)
            + (usage.get("output", 0) - hidden) * plain_out
            + hidden * price.get("reasoning", plain_out)
        )
        exact = micro_usd * self.multipliers[group] * NANO_PER_USD / 10**6
        return int(exact + Fraction(1, 2))


def scripted(text: str = "Hello", **script: Any) -> str:
    """A prompt that scripts the simulator's answer."""
    return f"{text} [[sim {json.dumps(script)}]]"


def assert_charged(gateway: Gateway, customer: Customer, nano: int, topped_up_nano: int) -> None:
    """The wallet and the key's account both say that this was spent, and that nothing is held."""
    wallet, key = gateway.wallet(customer), gateway.key_account(customer)
    assert (wallet.used_nano, wallet.held_nano, wallet.limit_nano) == (nano, 0, topped_up_nano)
    assert wallet.available_nano == topped_up_nano - nano
    assert (key.used_nano, key.held_nano) == (nano, 0)
