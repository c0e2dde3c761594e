"""The catalog: what the YAML says, frozen. A request holds one snapshot of it from start to end."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from extproc import names
from extproc.core.pricing import Price, UnitKind

DEFAULT_TIER = "default"
"""The tier of an owner who was given no other."""


class Dialect(StrEnum):
    """The wire API a caller or a vendor speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call in one dialect.

    `priced` operations cost tokens; the others are free, but still take a (zero) hold, so that a revoked key cannot
    call them. `output` tells whether it is for models that produce text, in tokens that are charged. `units` are what
    it may be priced by beside tokens: such an operation costs output tokens only if its model has a price for them. The
    body of a `form` is multipart/form-data, not JSON. The answer of a `task` only names what is made afterwards.
    """

    name: str
    dialect: Dialect
    priced: bool = True
    output: bool = True
    units: tuple[UnitKind, ...] = ()
    form: bool = False
    task: bool = False


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

    `models` maps the public name of each model it serves to the vendor's name for it. `max_concurrent` is how many
    requests it may have under way, 0 for as many as there are. A `drained` one gets no new ones. Over TLS its
    certificate is checked, by the authorities of `ca_file` where there is one, unless it is `insecure_tls`.
    """

    name: str
    dialect: Dialect
    base_url: str
    credential: SecretRef | None
    models: Mapping[str, str] = field(hash=False)
    max_concurrent: int = 0
    drained: bool = False
    ca_file: str = ""
    insecure_tls: bool = False

    @property
    def cluster(self) -> str:
        """Its Envoy cluster, by another name as soon as it is another vendor, or another account there.

        So a request that was admitted before a reload finds what it was admitted to.
        """
        limited = " limited" if self.max_concurrent else ""
        checked = " insecure" if self.insecure_tls else f" {self.ca_file}" if self.ca_file else ""
        said = f"{self.dialect} {self.base_url} {self.credential}{limited}{checked}"
        told = hashlib.sha256(said.encode()).hexdigest()
        return f"{names.CHANNEL_CLUSTER_PREFIX}{self.name}{names.EDITION_MARK}{told[:8]}"

    @property
    def clusters(self) -> tuple[str, ...]:
        """All its Envoy clusters: where its requests are limited there is a second one, behind the gate."""
        return (self.cluster, names.LIMITED_CLUSTER_PREFIX + self.cluster) if self.max_concurrent else (self.cluster,)


@dataclass(frozen=True, slots=True)
class Model:
    """A public model. A model without an output rate (an embedding model) cannot be asked to generate.

    `max_output_tokens` is the estimate of the output when the caller sets no cap. `context_window` is how many tokens
    it takes in at most, 0 where nobody says. `prices` are by the time from which they hold, the first from ever.
    An alias says whose: `alias_of`.
    """

    name: str
    prices: tuple[Price, ...]
    generates: bool
    max_output_tokens: int
    context_window: int = 0
    alias_of: str = ""

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

    The limits per minute are those of each key that has none of its own, 0 for none. `per_try_seconds` is how long a
    channel has until its answer begins, `first_byte_seconds` the same for streams, 0 for as long as Envoy waits.
    `show_channel` tells the caller which of its channels answered.
    """

    name: str
    multiplier_ppm: int
    models: frozenset[str]
    members: tuple[Member, ...]
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    per_try_seconds: int = 0
    first_byte_seconds: int = 0
    show_channel: bool = False

    def try_seconds(self, stream: bool) -> int:
        """How long an attempt has until its answer begins, 0 for as long as Envoy waits."""
        return self.first_byte_seconds if stream else self.per_try_seconds


@dataclass(frozen=True, slots=True)
class Catalog:
    """One revision of everything git says. `revision` names it in every usage record.

    `tiers` has the groups that the keys of an owner may have, by the owner's tier; without tiers, everyone any.
    """

    revision: str
    channels: Mapping[str, Channel]
    models: Mapping[str, Model]
    groups: Mapping[str, Group]
    tiers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    remembered: dict[Any, Any] = field(init=False, default_factory=dict, compare=False, repr=False)
    """What `extproc.core.chain` has worked out of it, which is the same every time."""

    @classmethod
    def of(
        cls,
        revision: str,
        channels: Mapping[str, Channel],
        models: Mapping[str, Model],
        groups: Mapping[str, Group],
        tiers: Mapping[str, frozenset[str]] = MappingProxyType({}),
    ) -> "Catalog":
        """A catalog nobody can change any more."""
        return cls(
            revision,
            MappingProxyType(dict(channels)),
            MappingProxyType(dict(models)),
            MappingProxyType(dict(groups)),
            MappingProxyType(dict(tiers)),
        )

    def allows(self, tier: str, group: str) -> bool:
        """Whether the keys of an owner of this tier may have this group. A tier that is not there has none."""
        return not self.tiers or group in self.tiers.get(tier, ())
