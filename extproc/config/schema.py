"""What each file may say. Unknown keys are refused, nothing is converted, and money is read exactly.

References from one file to another are checked here too, field by field, so that one run finds them all: a `Scope`
goes along as pydantic's validation context.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from extproc.config.base_url import read_base_url
from extproc.config.problems import there_is_no
from extproc.config.secrets import REFERENCE, parse_reference
from extproc.core.catalog import Dialect, SecretRef
from extproc.core.chain import MAX_TRY_SECONDS
from extproc.core.families import STAR, fitting, is_family
from extproc.core.money import NANO_PER_USD
from extproc.core.pricing import ONE, UNITS, Price, Rates, Terms, Tier, UnitKind, UnitPrice, UnitRate

DEAREST_USD = 1_000_000
"""Per million tokens, so one dollar a token: whatever is above is a slip of the pen."""

HIGHEST_MULTIPLIER = 1_000

_EXACT = Context(prec=28, traps=[Inexact])
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*")
_VENDOR_MODEL = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._/:@+-]*")


class ChannelState(StrEnum):
    """What a channel is there for: all requests, those under way, or none, as if it were not written at all."""

    ACTIVE = "active"
    DRAINED = "drained"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a file may refer to. Names are None when their file cannot be read: then any name will do.

    `groups` are needed by tiers alone, `aliases` has the model of each alias. Without an environment no base URL is
    filled in, nor checked.
    """

    env: Mapping[str, str] | None
    channels: Collection[str] | None
    models: Collection[str] | None
    groups: Collection[str] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)


def _rate(value: object) -> int:
    """USD per million tokens → nano-USD per million tokens."""
    return scaled(number(value), NANO_PER_USD, DEAREST_USD, "a billionth of a dollar per million tokens")


def _multiplier(value: object) -> int:
    """A factor → millionths."""
    ppm = scaled(number(value), ONE, HIGHEST_MULTIPLIER, "a millionth")
    if ppm == 0:
        raise ValueError("must be above 0")
    return ppm


def _money(value: object) -> int:
    """USD → nano-USD."""
    return scaled(number(value), NANO_PER_USD, DEAREST_USD, "a billionth of a dollar")


def _day(value: object) -> int:
    """A day → the Unix time of its first millisecond in UTC."""
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("must be a day, such as 2026-12-31") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def number(value: object) -> Decimal:
    """What YAML has as a number. Raises `ValueError`."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    raise ValueError("must be a number")


def scaled(number: Decimal, scale: int, highest: int, finest: str) -> int:
    """A number as a count of its smallest parts, `scale` to one. Raises `ValueError` with the bound."""
    if number < 0:
        raise ValueError("must not be negative")
    if number > highest:
        raise ValueError(f"must not be above {highest:,}")
    try:
        return int(_EXACT.quantize(number, 1 / Decimal(scale)) * scale)
    except Inexact:
        raise ValueError(f"must not be finer than {finest}") from None


def _dialect(value: object) -> Dialect:
    if isinstance(value, str) and value in list(Dialect):
        return Dialect(value)
    raise ValueError("must be one of " + ", ".join(Dialect))


def _state(value: object) -> ChannelState:
    if isinstance(value, str) and value in list(ChannelState):
        return ChannelState(value)
    raise ValueError("must be one of " + ", ".join(ChannelState))


def _credential(value: object) -> SecretRef:
    return parse_reference(value if isinstance(value, str) else "")


def _base_url(template: str, info: ValidationInfo) -> str:
    env = _scope(info).env
    return template if env is None else read_base_url(template, env)


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("must be an absolute path")
    return path


def _vendor_model(name: str) -> str:
    if not is_vendor_model(name.replace(STAR, "x")):
        raise ValueError("is not a model name: it has letters, digits and . _ / : @ + - only")
    return name


def is_vendor_model(name: str) -> bool:
    """Whether a vendor may call a model this; no `*` is in it."""
    return _VENDOR_MODEL.fullmatch(name) is not None


def _alias(name: str) -> str:
    if not _MODEL_NAME.fullmatch(name):
        raise ValueError(f"is no name for a model ({ModelSpec.naming})")
    return name


def _known_channel(name: str, info: ValidationInfo) -> str:
    known = _scope(info).channels
    if known is not None and name not in known:
        raise ValueError(there_is_no("channel", name, known))
    return name


def _known_group(name: str, info: ValidationInfo) -> str:
    known = _scope(info).groups
    if known is not None and name not in known and not (is_family(name) and fitting(name, known)):
        raise ValueError(
            "no group has such a name (there may be one * in it)"
            if is_family(name)
            else there_is_no("group", name, known)
        )
    return name


def _known_model(name: str, info: ValidationInfo) -> str:
    known, aliases = _scope(info).models, _scope(info).aliases
    if known is None or name in known or (is_family(name) and fitting(name, known)):
        return name
    if is_family(name):
        raise ValueError("no model has such a name (there may be one * in it)")
    if name in aliases:
        raise ValueError(f"is an alias: name the model {aliases[name]!r}, its aliases come with it")
    raise ValueError(there_is_no("model", name, known))


def _scope(info: ValidationInfo) -> Scope:
    scope = info.context
    assert isinstance(scope, Scope)
    return scope


_ABSOLUTE = {"type": "string", "pattern": "^/"}
_REFERENCE = {"type": "string", "pattern": REFERENCE.pattern}
_FACTOR = {"type": "number", "exclusiveMinimum": 0, "maximum": HIGHEST_MULTIPLIER}
_USD = WithJsonSchema({"type": "number", "minimum": 0, "maximum": DEAREST_USD})
Rate = Annotated[int, BeforeValidator(_rate), _USD]
Money = Annotated[int, BeforeValidator(_money), _USD]
KnownModel = Annotated[str, AfterValidator(_known_model)]


class Spec(BaseModel):
    """Nothing unknown, nothing converted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class EntrySpec(Spec):
    """What stands under a name in one of the files: a `kind` of thing, named by a rule."""

    kind: ClassVar[str]
    names: ClassVar[re.Pattern[str]]
    naming: ClassVar[str]


class ChannelSpec(EntrySpec):
    """An upstream. Its name becomes the name of an Envoy cluster and of files."""

    kind = "channel"
    names = _PLAIN_NAME
    naming = "a-z 0-9 . _ - only, a letter or digit first"

    dialect: Annotated[Dialect, BeforeValidator(_dialect)]
    """The API that it speaks."""
    base_url: Annotated[str, AfterValidator(_base_url)]
    """What that vendor's own SDK takes as its base URL. `${NAME}` and `${NAME:-default}` come from the environment."""
    credential: Annotated[SecretRef | None, BeforeValidator(_credential), WithJsonSchema(_REFERENCE)] = None
    """Where the vendor's key is, `env:NAME` or `file:/PATH`, never the key itself. Default: it needs none."""
    optional: bool = False
    """Whether the channel is left out, with a note, where its credential is not there."""
    state: Annotated[ChannelState, BeforeValidator(_state)] = ChannelState.ACTIVE
    """What it is there for: all requests, only those under way (`drained`), or none (`disabled`)."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """How many requests it may have under way. Default: as many as there are."""
    ca_file: Annotated[str, AfterValidator(_absolute), WithJsonSchema(_ABSOLUTE)] | None = None
    """Who vouches for its certificate: the path of a PEM file. Default: the authorities that the machine trusts."""
    insecure_tls: bool = False
    """Whether any certificate will do. Whoever stands in between can then read its credential and every prompt."""
    models: dict[KnownModel, Annotated[str, AfterValidator(_vendor_model)] | None] = Field(min_length=1)
    """The public name of each model it serves, or a family with one `*`: the vendor's name, nothing for the same."""

    @model_validator(mode="after")
    def _tls_is_checked_or_not(self) -> Self:
        if self.ca_file and self.insecure_tls:
            raise ValueError("ca_file says who vouches for its certificate, and insecure_tls that nobody is asked")
        return self


class RatesSpec(Spec):
    """What tokens cost, in USD per million. A class that is left out costs what its whole does."""

    input: Rate | None = None
    """Input tokens."""
    cache_read: Rate | None = None
    """Input tokens that the vendor took from its cache. Default: as `input`."""
    cache_write: Rate | None = None
    """Input tokens that the vendor put into its cache, for 5 minutes where it tells. Default: as `input`."""
    cache_write_1h: Rate | None = None
    """The same for an hour. Default: as `cache_write`."""
    input_audio: Rate | None = None
    """Input tokens of audio. Default: as `input`."""
    input_image: Rate | None = None
    """Input tokens of images. Default: as `input`."""
    output: Rate | None = None
    """Output tokens. Default: the model does not generate, as embedding models do not."""
    reasoning: Rate | None = None
    """Output tokens that nobody sees. Default: as `output`."""
    output_audio: Rate | None = None
    """Output tokens of audio. Default: as `output`."""
    output_image: Rate | None = None
    """Output tokens of images. Default: as `output`."""

    @model_validator(mode="after")
    def _a_part_has_a_whole(self) -> Self:
        for whole, parts in _PARTS.items():
            part = next((part for part in parts if getattr(self, part) is not None), None)
            if part is not None and getattr(self, whole) is None:
                raise ValueError(f"{part} is {whole}, which has no price here")
        return self

    def rates(self, call: int = 0) -> Rates:
        """All of them, with what a call costs beside (nano-USD)."""
        named = {name: getattr(self, name) for name in RatesSpec.model_fields}
        return Rates.of(**{name: rate for name, rate in named.items() if rate is not None}, call=call)


_PARTS = {
    "input": ("cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image"),
    "output": ("reasoning", "output_audio", "output_image"),
}


class TierSpec(RatesSpec):
    """The rates of requests whose input is larger than `above` tokens."""

    above: int = Field(ge=1)
    """The size of the input, in tokens, above which these rates hold for all tokens of the request."""


class UnitPriceSpec(Spec):
    """What an image or a second costs, for requests that say all of this."""

    price: Money
    """USD for one."""
    size: str | None = None
    """Only for requests that ask for this size, such as `1024x1024`."""
    quality: str | None = None
    """Only for requests that ask for this quality, such as `high`."""
    resolution: str | None = None
    """Only for requests that ask for this resolution, such as `720p`."""

    def unit_price(self, kind: UnitKind, per: int) -> UnitPrice:
        """The price of `per` units of this kind."""
        said = {"size": self.size, "quality": self.quality, "resolution": self.resolution}
        when = {name: value for name, value in said.items() if value is not None}
        return UnitPrice(UnitRate(kind, self.price, per), when)


class PriceSpec(RatesSpec):
    """What a model costs: by tokens, by the call, and by one kind of unit beside them."""

    per_call: Money | None = None
    """USD for each request that succeeds."""
    per_image: list[UnitPriceSpec] | None = Field(default=None, min_length=1)
    """USD for an image. The first entry that fits what the request says is its price."""
    per_second: list[UnitPriceSpec] | None = Field(default=None, min_length=1)
    """USD for a second. The first entry that fits what the request says is its price."""
    per_minute: Money | None = None
    """USD for a minute of audio."""
    per_million_characters: Money | None = None
    """USD for a million characters of text that is spoken."""
    per_search: Money | None = None
    """USD for one search, as vendors count a ranking."""
    tiers: list[TierSpec] = []
    """Other rates for requests with a larger input, the smallest size first."""

    @model_validator(mode="after")
    def _has_a_unit(self) -> Self:
        named = [name for name in UNITS if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)}: a model is priced by one kind of unit")
        if self.output is not None and self.input is None:
            raise ValueError("output has a price, but input has none")
        if not named and self.per_call is None and self.input is None:
            raise ValueError("names nothing that costs something: input, per_call, " + ", ".join(UNITS))
        if [tier.above for tier in self.tiers] != sorted({tier.above for tier in self.tiers}):
            raise ValueError("tiers must be in the order of their size, each size once")
        if any(
            (tier.input is None, tier.output is None) != (self.input is None, self.output is None)
            for tier in self.tiers
        ):
            raise ValueError("tiers must have an input and an output price where the price has one, and only there")
        return self

    def price(self, valid_from_ms: int = 0) -> Price:
        """The price as it is from that time on."""
        call = self.per_call or 0
        tiers = tuple(Tier(tier.above, tier.rates(call)) for tier in self.tiers)
        return Price(Terms(self.rates(call), tiers), tuple(self._units()), valid_from_ms)

    def _units(self) -> Iterator[UnitPrice]:
        for name, (kind, per) in UNITS.items():
            value = getattr(self, name)
            if isinstance(value, list):
                yield from (each.unit_price(kind, per) for each in value)
            elif value is not None:
                yield UnitPrice(UnitRate(kind, value, per), {})


class PriceChangeSpec(PriceSpec):
    """What the model costs from a day on (UTC)."""

    valid_from: Annotated[int, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
    """The day from which it holds (UTC), such as `2026-12-31`."""


class ModelSpec(EntrySpec):
    """What callers may ask for, and what it costs."""

    kind = "model"
    names = _MODEL_NAME
    naming = "A-Z a-z 0-9 . _ - / : only, a letter or digit first"

    price: PriceSpec
    """What it costs, until the first of `price_changes`."""
    price_changes: list[PriceChangeSpec] = []
    """What it costs later, each from a day on, the earliest first."""
    max_output_tokens: int | None = Field(default=None, ge=1)
    """How many output tokens are held where the caller sets no cap. Required where there is `price.output`."""
    context_window: int | None = Field(default=None, ge=1)
    """How many tokens it takes in at most, for the model list alone. Default: nobody says."""
    aliases: list[Annotated[str, AfterValidator(_alias)]] = Field(default_factory=list)
    """More names for it."""

    @model_validator(mode="after")
    def _estimate_goes_with_output(self) -> Self:
        if self.generates and self.max_output_tokens is None:
            raise ValueError("max_output_tokens is missing: a model with an output price needs it")
        if self.max_output_tokens is not None and not self.generates:
            raise ValueError("max_output_tokens is there, but price.output is missing")
        return self

    @model_validator(mode="after")
    def _changes_are_in_order(self) -> Self:
        days = [change.valid_from for change in self.price_changes]
        if days != sorted(set(days)):
            raise ValueError("price_changes must be in the order of their days, each day once")
        if any((change.output is None) == self.generates for change in self.price_changes):
            raise ValueError("price_changes must have an output price where price has one, and only there")
        return self

    @property
    def generates(self) -> bool:
        """Whether it produces tokens that are charged."""
        return self.price.output is not None

    def prices(self) -> tuple[Price, ...]:
        """The first, and those that come after it."""
        return (self.price.price(), *(change.price(change.valid_from) for change in self.price_changes))


class MemberSpec(Spec):
    """A channel of a group."""

    channel: Annotated[str, AfterValidator(_known_channel)]
    """Its name in `channels.yaml`."""
    priority: int = Field(default=0, ge=0)
    """When it is tried: the lowest first, the next when that fails."""
    weight: int = Field(default=1, ge=1)
    """How often it is drawn among those of the same priority."""


class GroupSpec(EntrySpec):
    """What a key is bound to. The seconds of a request are those of its key's group, also in a fallback group."""

    kind = "group"
    names = _PLAIN_NAME
    naming = ChannelSpec.naming

    multiplier: Annotated[int, BeforeValidator(_multiplier), WithJsonSchema(_FACTOR)] = Field(
        default=ONE, json_schema_extra={"default": 1}
    )
    """What every price is multiplied by, down to a millionth."""
    models: list[KnownModel] | None = Field(default=None, min_length=1)
    """What its keys may call; a family has one `*`. Default: all that its channels serve."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """What each of its keys may ask for, unless the key has its own limit. Default: no limit."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """The same in tokens, input and output."""
    dialect: Annotated[Dialect | None, BeforeValidator(_dialect)] = None
    """The API that all of its channels must speak. Default: any."""
    per_try_seconds: int | None = Field(default=None, ge=1, le=MAX_TRY_SECONDS)
    """How long a channel has until its answer begins. Default: as long as Envoy waits."""
    first_byte_seconds: int | None = Field(default=None, ge=1, le=MAX_TRY_SECONDS)
    """The same for a stream. Default: as `per_try_seconds`."""
    show_channel: bool = False
    """Whether `x-tollgate-channel` tells callers which channel answered."""
    channels: list[MemberSpec] = Field(min_length=1)
    """Where requests go."""

    @model_validator(mode="after")
    def _each_channel_once(self) -> Self:
        names = self.channel_names()
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"channel {twice!r} is there twice")
        return self

    def channel_names(self) -> list[str]:
        """Its channels, in the order they are written."""
        return [member.channel for member in self.channels]


class OwnerTierSpec(EntrySpec):
    """What an owner has. It decides which groups the owner's keys may have, and nothing else."""

    kind = "tier"
    names = _PLAIN_NAME
    naming = ChannelSpec.naming

    groups: list[Annotated[str, AfterValidator(_known_group)]] = Field(min_length=1)
    """The groups that keys of its owners may have, also to fall back to; `*` stands for any text in a name."""
