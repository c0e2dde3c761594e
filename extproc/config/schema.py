"""What each file may say. Unknown keys are refused, nothing is converted, and money is read exactly.

References from one file to another are checked here too, field by field, so that one run finds them all: a `Scope`
goes along as pydantic's validation context.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from extproc.config.base_url import read_base_url
from extproc.config.problems import there_is_no
from extproc.config.secrets import parse_reference
from extproc.core.catalog import Dialect, SecretRef
from extproc.core.pricing import ONE, Rates

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


class PriceSpec(Spec):
    """Nano-USD per million tokens, written as USD per million tokens."""

    input: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    output: Rate | None = None
    reasoning: Rate | None = None

    @model_validator(mode="after")
    def _reasoning_is_output(self) -> Self:
        if self.reasoning is not None and self.output is None:
            raise ValueError("reasoning is output, which has no price here")
        return self

    def rates(self) -> Rates:
        """All five rates: those of a cache default to the input's, reasoning to the output's."""
        output = self.output or 0
        return Rates(
            input=self.input,
            cache_read=self.input if self.cache_read is None else self.cache_read,
            cache_write=self.input if self.cache_write is None else self.cache_write,
            output=output,
            reasoning=output if self.reasoning is None else self.reasoning,
        )


class ModelSpec(EntrySpec):
    """An entry of `models.yaml`. Without an output price the model does not generate, and needs no estimate for it."""

    kind = "model"
    names = _MODEL_NAME
    naming = "A-Z a-z 0-9 . _ - / : only, a letter or digit first"

    price: PriceSpec
    max_output_tokens: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _estimate_goes_with_output(self) -> Self:
        if self.generates and self.max_output_tokens is None:
            raise ValueError("max_output_tokens is missing: a model with an output price needs it")
        if self.max_output_tokens is not None and not self.generates:
            raise ValueError("max_output_tokens is there, but price.output is missing")
        return self

    @property
    def generates(self) -> bool:
        """Whether it produces tokens that are charged."""
        return self.price.output is not None


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
