"""The catalog: what the YAML says, frozen. A request holds one snapshot of it from start to end."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from extproc.core.pricing import Price


class Dialect(StrEnum):
    """The wire API a caller or a vendor speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call in one dialect.

    `priced` operations cost tokens; the others are free, but still take a (zero) hold, so that a revoked key cannot
    call them. `output` tells whether the model produces tokens that are charged.
    """

    name: str
    dialect: Dialect
    priced: bool = True
    output: bool = True


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is, never the secret: `env:NAME` or `file:PATH`."""

    scheme: str
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"


@dataclass(frozen=True, slots=True)
class Channel:
    """One upstream. `base_url` is what that vendor's own SDK takes as its base URL.

    `models` maps the public name of each model it serves to the vendor's name for it.
    """

    name: str
    dialect: Dialect
    base_url: str
    credential: SecretRef | None
    models: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Model:
    """A public model. A model without an output rate (an embedding model) cannot be asked to generate.

    `max_output_tokens` is the estimate of the output when the caller sets no cap. `prices` are by the time from which
    they hold; the first holds from ever.
    """

    name: str
    prices: tuple[Price, ...]
    generates: bool
    max_output_tokens: int

    def price_at(self, time_ms: int) -> Price:
        """What it costs at that time."""
        return [price for price in self.prices if price.valid_from_ms <= time_ms][-1]


@dataclass(frozen=True, slots=True)
class Member:
    """A channel's place in a group: lower priority first; among equals, drawn by weight."""

    channel: Channel
    priority: int
    weight: int


@dataclass(frozen=True, slots=True)
class Group:
    """What a key is bound to: which models, over which channels, at which multiplier (in millionths).

    The limits per minute are those of each key that has none of its own, 0 for none.
    """

    name: str
    multiplier_ppm: int
    models: frozenset[str]
    members: tuple[Member, ...]
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class Catalog:
    """One revision of everything git says. `revision` names it in every usage record."""

    revision: str
    channels: Mapping[str, Channel]
    models: Mapping[str, Model]
    groups: Mapping[str, Group]

    @classmethod
    def of(
        cls,
        revision: str,
        channels: Mapping[str, Channel],
        models: Mapping[str, Model],
        groups: Mapping[str, Group],
    ) -> "Catalog":
        """A catalog nobody can change any more."""
        return cls(
            revision,
            MappingProxyType(dict(channels)),
            MappingProxyType(dict(models)),
            MappingProxyType(dict(groups)),
        )
