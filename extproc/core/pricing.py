"""What a request costs: usage × rates × multiplier, rounded half up once, at the end.

Usage is *inclusive*: cached and cache-written tokens are part of the input, reasoning tokens are part of the
output. A rate is nano-USD per million tokens (an integer: `0.10 USD` per million is `100_000_000`), a multiplier is
in millionths (0.95 is `950_000`), so that every price a person writes is exact.
"""

from dataclasses import dataclass

TOKENS_PER_RATE = 1_000_000
ONE = 1_000_000
"""The multiplier 1.0, in millionths."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, inclusive.

    A vendor's numbers that do not add up (more cached than input) are cut to the whole they are part of, so that no
    token is ever charged twice.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @classmethod
    def of(
        cls,
        input_tokens: int,
        cache_read: int = 0,
        cache_write: int = 0,
        output_tokens: int = 0,
        reasoning: int = 0,
    ) -> "Usage":
        """The usage with each part cut to its whole."""
        whole_in, whole_out = max(0, input_tokens), max(0, output_tokens)
        read = min(max(0, cache_read), whole_in)
        write = min(max(0, cache_write), whole_in - read)
        return cls(whole_in, read, write, whole_out, min(max(0, reasoning), whole_out))

    @property
    def total_tokens(self) -> int:
        """Every token once."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-USD per million tokens of each class."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


FREE = Rates(0, 0, 0, 0, 0)


def cost_nano(usage: Usage, rates: Rates, multiplier_ppm: int) -> int:
    """The cost in nano-USD, rounded half up.

    >>> cost_nano(Usage.of(1_000, output_tokens=100), Rates(100_000_000, 0, 0, 400_000_000, 400_000_000), ONE)
    140000
    """
    uncached = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    plain_output = usage.output_tokens - usage.reasoning_tokens
    exact = multiplier_ppm * (
        uncached * rates.input
        + usage.cache_read_tokens * rates.cache_read
        + usage.cache_write_tokens * rates.cache_write
        + plain_output * rates.output
        + usage.reasoning_tokens * rates.reasoning
    )
    unit = TOKENS_PER_RATE * ONE
    return (exact + unit // 2) // unit


def ceiling_nano(input_tokens: int, output_tokens: int, rates: Rates, multiplier_ppm: int) -> int:
    """The most that so many tokens can cost at these rates, whatever class each turns out to be."""
    dearest_input = max(rates.input, rates.cache_read, rates.cache_write)
    dearest_output = max(rates.output, rates.reasoning)
    worst = Rates(dearest_input, dearest_input, dearest_input, dearest_output, dearest_output)
    return cost_nano(Usage.of(input_tokens, output_tokens=output_tokens), worst, multiplier_ppm)
