"""Token numbers in the inclusive meaning: cached classes are part of input, reasoning is part of output."""

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one answer; `cached + cache_write <= input` and `reasoning <= output`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def uncached(self) -> int:
        """Input tokens that are in neither cache class: what Anthropic calls `input_tokens`."""
        return self.input - self.cached - self.cache_write

    def after(self, chunks: int, of: int) -> "Usage":
        """What there is once `chunks` of an answer `of` so many have been sent: all input, and thought comes first."""
        thought = self.reasoning if chunks else 0
        said = (self.output - self.reasoning) * chunks // max(of, 1)
        return msgspec.structs.replace(self, output=thought + said, reasoning=thought)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
        )
