"""From bytes to tokens: what a prompt, or a part of an answer, amounts to when nobody counted its tokens.

An answer has bytes before its first token, bytes for each token, and bytes after its last one. What is learned of them
is a line through all answers that were counted:

    bytes = overhead + bytes per token × tokens         fitted with the weight 1 / (tokens + SMOOTH_TOKENS)²

because a long answer misses the line by more bytes than a short one. Nothing but six sums is kept of the answers.

An estimate leans to the caller: whoever pays for a guess must not pay for more than there was. So bytes per token are
taken `LEAN` standard deviations above the line. And where the answers are too much of one length to tell overhead from
tokens, the line is fitted twice, with the least and with the most overhead that this API is known to have, and the
dearer reading of each is used.
"""

from dataclasses import dataclass
from math import ceil, sqrt

LEAN = 3
"""Standard deviations: of answers that scatter normally, one in a thousand has fewer tokens than estimated."""

LEAST_SPREAD = 100
"""Answers scatter by a hundredth of their size at least, whatever the few seen so far say."""

LEAST_SAMPLES = 20
MOST_SAMPLES = 1_000_000
"""With the bound on the bytes per token, this keeps all sums of a day in the 64 bits of a Redis integer."""

MOST_TOKEN_MILLIBYTES = 2_000_000
SMOOTH_TOKENS = 16
LEAST_TOKEN_BYTES = 2
"""What the text of a token takes at least on the average; it is about 4 in English and 3 in Chinese."""

_ONE = 1 << 20
_KNOWN_WEIGHT = 100
"""How much more one answer counts than what is known of the API: that matters only where answers tell nothing."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Turns bytes into tokens, rounded down. `tail_…` is what follows the last token, fixed and for each token."""

    head_bytes: int
    token_millibytes: int
    tail_bytes: int = 0
    tail_token_millibytes: int = 0

    def tokens(self, size_bytes: int, whole: bool = True) -> int:
        """The tokens in so many bytes of something `whole`, or of its beginning."""
        fixed, each = self.head_bytes, self.token_millibytes
        if whole:
            fixed, each = fixed + self.tail_bytes, each + self.tail_token_millibytes
        return max(0, size_bytes - fixed) * 1000 // each


@dataclass(frozen=True, slots=True)
class Start:
    """What is known of an API before any answer was seen.

    `token_bytes` is on the large side. The overhead is all that a whole answer has besides its tokens, of which
    `tail_bytes` at least come after the last one. `repeats` is how often the text is said once more at the end.
    """

    token_bytes: int
    least_overhead_bytes: int
    most_overhead_bytes: int
    tail_bytes: int = 0
    repeats: int = 0

    def scale(self) -> Scale:
        """The scale to begin with."""
        return self._scale(self.most_overhead_bytes * 1000, self.token_bytes * 1000, 0)

    def fit(self, sums: "Sums") -> Scale:
        """The scale by what was learned, or the one to begin with while that says too little."""
        lines = [sums.line(overhead) for overhead in (self.least_overhead_bytes, self.most_overhead_bytes)]
        token = max(line.token_millibytes for line in lines)
        if sums.count < LEAST_SAMPLES or token <= 0:
            return self.scale()
        spread = max(token / LEAST_SPREAD, *(line.spread_millibytes for line in lines))
        overhead = max(line.overhead_millibytes for line in lines) + SMOOTH_TOKENS * LEAN * spread
        return self._scale(overhead, token, LEAN * spread)

    def _scale(self, overhead: float, token: float, lean: float) -> Scale:
        """The text of a token varies, and so do its repetitions, which a beginning has not got."""
        repeated = self.repeats * LEAST_TOKEN_BYTES * 1000 + lean * self.repeats / (self.repeats + 1)
        return Scale(
            head_bytes=max(0, ceil(overhead / 1000) - self.tail_bytes),
            token_millibytes=max(1, ceil(token + lean - repeated)),
            tail_bytes=self.tail_bytes,
            tail_token_millibytes=int(repeated),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted line; the spread is the standard deviation of the bytes per token."""

    overhead_millibytes: float
    token_millibytes: float
    spread_millibytes: float


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over answers, or prompts: of x = 1 / (tokens + SMOOTH_TOKENS), in 2⁻²⁰, and of y = x × bytes, in 1/1000."""

    count: int = 0
    x: int = 0
    y: int = 0
    xx: int = 0
    xy: int = 0
    yy: int = 0

    @classmethod
    def of(cls, tokens: int, size_bytes: int) -> "Sums":
        """One of them; nothing, if it has no tokens or is too far out to learn from."""
        x, y = _ONE // (tokens + SMOOTH_TOKENS), size_bytes * 1000 // (tokens + SMOOTH_TOKENS)
        return cls(1, x, y, x * x, x * y, y * y) if tokens and y <= MOST_TOKEN_MILLIBYTES else cls()

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.count + other.count,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )

    def line(self, known_overhead_bytes: int) -> Line:
        """The line with the least squares, drawn ever so slightly to this overhead."""
        x0, y0, weight = _ONE // SMOOTH_TOKENS, known_overhead_bytes * 1000 // SMOOTH_TOKENS, _KNOWN_WEIGHT
        count, x, y = weight * self.count + 1, weight * self.x + x0, weight * self.y + y0
        xx, xy = weight * self.xx + x0 * x0, weight * self.xy + x0 * y0
        slope = (count * xy - x * y) / max(1, count * xx - x * x)
        level = (y - slope * x) / count
        return Line(SMOOTH_TOKENS * level + slope * _ONE, level, self._spread(slope, level))

    def _spread(self, slope: float, level: float) -> float:
        squares = (
            self.yy
            + self.count * level * level
            + slope * slope * self.xx
            + 2 * (slope * level * self.x - level * self.y - slope * self.xy)
        )
        return sqrt(max(0.0, squares) / max(1, self.count - 2))
