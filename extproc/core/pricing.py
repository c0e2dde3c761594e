"""What a request costs: usage × rates × multiplier × discount, rounded half up once, at the end.

Usage is *inclusive*: tokens read from a cache, written to one, of audio or of images are part of the input; reasoning,
audio and images are part of the output. No two parts overlap. A rate is nano-USD per million tokens (an integer:
`0.10 USD` per million is `100_000_000`), a multiplier is in millionths (0.95 is `950_000`), so that every price a
person writes is exact.

    cost = (Σ tokens of a class × its rate + calls × call + units × unit) × multiplier × discount

A unit is an image, a second, a minute, a character or a search, whatever the price is for; it is counted in `per` so
many, as a price per minute is no whole number of nano-USD per millisecond.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

TOKENS_PER_RATE = 1_000_000
ONE = 1_000_000
"""The multiplier 1.0, in millionths."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request used: tokens, inclusive, and `units` of what it is priced by beside tokens.

    A vendor's numbers that do not add up (more cached than input) are cut to the whole they are part of, so that no
    token is ever charged twice.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_audio_tokens: int = 0
    output_image_tokens: int = 0
    units: int = 0

    @classmethod
    def of(
        cls,
        input_tokens: int,
        cache_read: int = 0,
        cache_write: int = 0,
        output_tokens: int = 0,
        reasoning: int = 0,
        *,
        cache_write_1h: int = 0,
        input_audio: int = 0,
        input_image: int = 0,
        output_audio: int = 0,
        output_image: int = 0,
        units: int = 0,
    ) -> "Usage":
        """The usage with each part cut to what its whole has left, in the order in which they are named here."""
        whole_in, whole_out = max(0, input_tokens), max(0, output_tokens)
        read, write, write_1h, audio, image = _cut(
            whole_in, cache_read, cache_write, cache_write_1h, input_audio, input_image
        )
        thought, spoken, drawn = _cut(whole_out, reasoning, output_audio, output_image)
        return cls(whole_in, read, write, whole_out, thought, write_1h, audio, image, spoken, drawn, max(0, units))

    @property
    def total_tokens(self) -> int:
        """Every token once."""
        return self.input_tokens + self.output_tokens

    @property
    def plain_input_tokens(self) -> int:
        """What is in none of the input's parts."""
        return self.input_tokens - (
            self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.input_audio_tokens
            + self.input_image_tokens
        )

    @property
    def plain_output_tokens(self) -> int:
        """What is in none of the output's parts."""
        return self.output_tokens - (self.reasoning_tokens + self.output_audio_tokens + self.output_image_tokens)


def _cut(whole: int, *parts: int) -> list[int]:
    cut = []
    for part in parts:
        cut.append(min(max(0, part), whole))
        whole -= cut[-1]
    return cut


class UnitKind(StrEnum):
    """What a price may be for, beside tokens."""

    IMAGE = "image"
    SECOND = "second"
    MINUTE = "minute"
    CHARACTER = "character"
    SEARCH = "search"


UNITS = {
    "per_image": (UnitKind.IMAGE, 1),
    "per_second": (UnitKind.SECOND, 1_000),
    "per_minute": (UnitKind.MINUTE, 60_000),
    "per_million_characters": (UnitKind.CHARACTER, 1_000_000),
    "per_search": (UnitKind.SEARCH, 1),
}
"""How a price names its units, and how many of what is counted make one: milliseconds make a second."""


@dataclass(frozen=True, slots=True)
class UnitRate:
    """`nano` for each `per` units: a minute of audio is counted in milliseconds, 60,000 to a minute."""

    kind: UnitKind
    nano: int
    per: int = 1


COUNTED = {
    "input": "plain_input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "input_audio": "input_audio_tokens",
    "input_image": "input_image_tokens",
    "output": "plain_output_tokens",
    "reasoning": "reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
}
"""The classes of tokens by their rates, and what of a usage is counted of each: parts that do not overlap."""

WHOLES = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "input_audio": "input",
    "input_image": "input",
    "reasoning": "output",
    "output_audio": "output",
    "output_image": "output",
}
"""What a class of tokens costs that is not named: as much as this one, which stands before it."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-USD per million tokens of each class, nano-USD per call, and what a unit costs."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    cache_write_1h: int = 0
    input_audio: int = 0
    input_image: int = 0
    output_audio: int = 0
    output_image: int = 0
    call: int = 0
    unit: UnitRate | None = None

    @classmethod
    def of(cls, input: int = 0, output: int = 0, unit: UnitRate | None = None, **special: int) -> "Rates":
        """Rates of these classes; each that is not named costs what its whole does, and 1 h of cache what 5 min do."""
        rates = {"input": input, "output": output, **special}
        for part, whole in WHOLES.items():
            rates.setdefault(part, rates[whole])
        return cls(unit=unit, **rates)

    @property
    def by_tokens(self) -> bool:
        """Whether the tokens are what is paid for, at least in part."""
        return bool(self.input or self.output)


FREE = Rates(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a request whose input has more tokens than `above_tokens`: of all its tokens, not only of those."""

    above_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request is priced by: its rates, and those that hold above a size of the input, the smallest first."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates of a request with so much input."""
        reached = [tier.rates for tier in self.tiers if input_tokens > tier.above_tokens]
        return reached[-1] if reached else self.rates


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What a unit costs for requests that say all of `when`, such as `size` and `quality`."""

    rate: UnitRate
    when: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs from a day on (Unix ms). Of the units' prices the first that fits is that of a request."""

    terms: Terms
    units: tuple[UnitPrice, ...] = ()
    valid_from_ms: int = 0

    def terms_for(self, said: Mapping[str, str]) -> Terms | None:
        """The terms of a request that says this; None when it has units and no price fits."""
        if not self.units:
            return self.terms
        for unit in self.units:
            if all(said.get(name) == value for name, value in unit.when.items()):
                return _with_unit(self.terms, unit.rate)
        return None


def _with_unit(terms: Terms, unit: UnitRate) -> Terms:
    tiers = tuple(replace(tier, rates=replace(tier.rates, unit=unit)) for tier in terms.tiers)
    return Terms(replace(terms.rates, unit=unit), tiers)


def cost_nano(usage: Usage, rates: Rates, multiplier_ppm: int, discount_ppm: int = ONE) -> int:
    """The cost in nano-USD, rounded half up.

    >>> cost_nano(Usage.of(1_000, output_tokens=100), Rates.of(input=100_000_000, output=400_000_000), ONE)
    140000
    """
    tokens: int = sum(getattr(usage, counted) * getattr(rates, name) for name, counted in COUNTED.items())
    return _rounded(tokens, usage.units, rates, multiplier_ppm, discount_ppm)


def _rounded(tokens: int, units: int, rates: Rates, multiplier_ppm: int, discount_ppm: int) -> int:
    """The cost of `tokens`, each times its rate, with the call and the units."""
    per, exact = 1, tokens + rates.call * TOKENS_PER_RATE
    if rates.unit is not None:
        per = rates.unit.per
        exact = exact * per + units * rates.unit.nano * TOKENS_PER_RATE
    whole = TOKENS_PER_RATE * ONE * ONE * per
    return (exact * multiplier_ppm * discount_ppm + whole // 2) // whole


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most a request is expected to use. `input_media` and `output_media`: whether audio or images may be in it."""

    input_tokens: int
    output_tokens: int
    units: int = 0
    input_media: bool = False
    output_media: bool = False


def ceiling_nano(estimate: Estimate, terms: Terms, multiplier_ppm: int, discount_ppm: int = ONE) -> int:
    """The most that so much can cost on these terms, whatever class each token turns out to be."""
    rates = terms.rates_for(estimate.input_tokens)
    into = [rates.input, rates.cache_read, rates.cache_write, rates.cache_write_1h]
    out = [rates.output, rates.reasoning]
    into += [rates.input_audio, rates.input_image] if estimate.input_media else []
    out += [rates.output_audio, rates.output_image] if estimate.output_media else []
    tokens = estimate.input_tokens * max(into) + estimate.output_tokens * max(out)
    return _rounded(tokens, estimate.units, rates, multiplier_ppm, discount_ppm)
