"""What each file may say. Unknown keys are refused, nothing is converted, and money is read exactly.

References from one file to another are checked here too, field by field, so that one run finds them all: a `Scope`
goes along as pydantic's validation context.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from extproc.config.base_url import read_base_url
from extproc.config.problems import there_is_no
from extproc.config.secrets import parse_reference
from extproc.core.catalog import Dialect, SecretRef
from extproc.core.pricing import ONE, Price, Rates, Terms, Tier, UnitKind, UnitPrice, UnitRate

DEAREST_USD = 1_000_000
"""Per million tokens, so one dollar a token: whatever is above is a slip of the pen."""

HIGHEST_MULTIPLIER = 1_000

_NANO = 1_000_000_000
_EXACT = Context(prec=28, traps=[Inexact])
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*")
_VENDOR_MODEL = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._/:@+-]*")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a file may refer to. Names are None when their file cannot be read: then any name will do.

    Without an environment no base URL is filled in, nor checked.
    """

    env: Mapping[str, str] | None
    channels: Collection[str] | None
    models: Collection[str] | None


def _rate(value: object) -> int:
    """USD per million tokens → nano-USD per million tokens."""
    return _scaled(_number(value), _NANO, DEAREST_USD, "a billionth of a dollar per million tokens")


def _multiplier(value: object) -> int:
    """A factor → millionths."""
    ppm = _scaled(_number(value), ONE, HIGHEST_MULTIPLIER, "a millionth")
    if ppm == 0:
        raise ValueError("must be above 0")
    return ppm


def _money(value: object) -> int:
    """USD → nano-USD."""
    return _scaled(_number(value), _NANO, DEAREST_USD, "a billionth of a dollar")


def _day(value: object) -> int:
    """A day → the Unix time of its first millisecond in UTC."""
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("must be a day, such as 2026-12-31") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _number(value: object) -> Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    raise ValueError("must be a number")


def _scaled(number: Decimal, scale: int, highest: int, finest: str) -> int:
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


def _credential(value: object) -> SecretRef:
    return parse_reference(value if isinstance(value, str) else "")


def _base_url(template: str, info: ValidationInfo) -> str:
    env = _scope(info).env
    return template if env is None else read_base_url(template, env)


def _vendor_model(name: str) -> str:
    if not _VENDOR_MODEL.fullmatch(name):
        raise ValueError("is not a model name: it has letters, digits and . _ / : @ + - only")
    return name


def _known_channel(name: str, info: ValidationInfo) -> str:
    known = _scope(info).channels
    if known is not None and name not in known:
        raise ValueError(there_is_no("channel", name, known))
    return name


def _known_model(name: str, info: ValidationInfo) -> str:
    known = _scope(info).models
    if known is not None and name not in known:
        raise ValueError(there_is_no("model", name, known))
    return name


def _scope(info: ValidationInfo) -> Scope:
    scope = info.context
    assert isinstance(scope, Scope)
    return scope


Rate = Annotated[int, BeforeValidator(_rate)]
Money = Annotated[int, BeforeValidator(_money)]
KnownModel = Annotated[str, AfterValidator(_known_model)]


class Spec(BaseModel):
    """Nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class EntrySpec(Spec):
    """What stands under a name in one of the files: a `kind` of thing, named by a rule."""

    kind: ClassVar[str]
    names: ClassVar[re.Pattern[str]]
    naming: ClassVar[str]


class ChannelSpec(EntrySpec):
    """An entry of `channels.yaml`. `models` maps each public name to the vendor's, None being the same.

    A channel's name becomes the name of an Envoy cluster and of files.
    """

    kind = "channel"
    names = _PLAIN_NAME
    naming = "a-z 0-9 . _ - only, a letter or digit first"

    dialect: Annotated[Dialect, BeforeValidator(_dialect)]
    base_url: Annotated[str, AfterValidator(_base_url)]
    credential: Annotated[SecretRef | None, BeforeValidator(_credential)] = None
    optional: bool = False
    models: dict[KnownModel, Annotated[str, AfterValidator(_vendor_model)] | None] = Field(min_length=1)


class RatesSpec(Spec):
    """Nano-USD per million tokens, written as USD per million tokens. What is left out costs what its whole does."""

    input: Rate | None = None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    input_audio: Rate | None = None
    input_image: Rate | None = None
    output: Rate | None = None
    reasoning: Rate | None = None
    output_audio: Rate | None = None
    output_image: Rate | None = None

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


class UnitPriceSpec(Spec):
    """What an image or a second costs, for requests that say these things."""

    price: Money
    size: str | None = None
    quality: str | None = None
    resolution: str | None = None

    def unit_price(self, kind: UnitKind, per: int) -> UnitPrice:
        """The price of `per` units of this kind."""
        said = {"size": self.size, "quality": self.quality, "resolution": self.resolution}
        when = {name: value for name, value in said.items() if value is not None}
        return UnitPrice(UnitRate(kind, self.price, per), when)


class PriceSpec(RatesSpec):
    """What a model costs: by tokens, by the call, and by one kind of unit beside them."""

    per_call: Money | None = None
    per_image: list[UnitPriceSpec] | None = Field(default=None, min_length=1)
    per_second: list[UnitPriceSpec] | None = Field(default=None, min_length=1)
    per_minute: Money | None = None
    per_million_characters: Money | None = None
    tiers: list[TierSpec] = []

    @model_validator(mode="after")
    def _has_a_unit(self) -> Self:
        named = [name for name in _UNITS if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)}: a model is priced by one kind of unit")
        if self.output is not None and self.input is None:
            raise ValueError("output has a price, but input has none")
        if not named and self.per_call is None and self.input is None:
            raise ValueError("names nothing that costs something: input, per_call, " + ", ".join(_UNITS))
        if [tier.above for tier in self.tiers] != sorted({tier.above for tier in self.tiers}):
            raise ValueError("tiers must be in the order of their size, each size once")
        return self

    def price(self, valid_from_ms: int = 0) -> Price:
        """The price as it is from that time on."""
        call = self.per_call or 0
        tiers = tuple(Tier(tier.above, tier.rates(call)) for tier in self.tiers)
        return Price(Terms(self.rates(call), tiers), tuple(self._units()), valid_from_ms)

    def _units(self) -> Iterator[UnitPrice]:
        for name, (kind, per) in _UNITS.items():
            value = getattr(self, name)
            if isinstance(value, list):
                yield from (each.unit_price(kind, per) for each in value)
            elif value is not None:
                yield UnitPrice(UnitRate(kind, value, per), {})


_UNITS = {
    "per_image": (UnitKind.IMAGE, 1),
    "per_second": (UnitKind.SECOND, 1_000),
    "per_minute": (UnitKind.MINUTE, 60_000),
    "per_million_characters": (UnitKind.CHARACTER, 1_000_000),
}
"""What a price may be for, and how many of what is counted make one: milliseconds make a second."""


class PriceChangeSpec(PriceSpec):
    """What the model costs from a day on (UTC)."""

    valid_from: Annotated[int, BeforeValidator(_day)]


class ModelSpec(EntrySpec):
    """An entry of `models.yaml`. Without an output price the model does not generate, and needs no estimate for it.

    `price` holds until the first of `price_changes`, if there are any.
    """

    kind = "model"
    names = _MODEL_NAME
    naming = "A-Z a-z 0-9 . _ - / : only, a letter or digit first"

    price: PriceSpec
    price_changes: list[PriceChangeSpec] = []
    max_output_tokens: int | None = Field(default=None, ge=1)

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
    priority: int = Field(default=0, ge=0)
    weight: int = Field(default=1, ge=1)


class GroupSpec(EntrySpec):
    """An entry of `groups.yaml`; without `models` it has all that its channels serve.

    The limits per minute hold for each of its keys, unless the key has its own.
    """

    kind = "group"
    names = _PLAIN_NAME
    naming = ChannelSpec.naming

    multiplier: Annotated[int, BeforeValidator(_multiplier)] = ONE
    models: list[KnownModel] | None = Field(default=None, min_length=1)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    channels: list[MemberSpec] = Field(min_length=1)

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
