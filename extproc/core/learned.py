"""What was learned of the bytes of tokens, by model and by kind of answer; and what one knows before.

    a request ended cleanly → its sums are new → told to all workers → known → a scale, frozen in the next quotes

Without I/O: `extproc.store.learned` shares it. Whatever is lost of it makes an estimate worse, and nothing wrong.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from extproc.core.scale import MOST_SAMPLES, Scale, Start, Sums


class Part(StrEnum):
    """What has the bytes: a prompt, an answer that is streamed, or one in one piece."""

    PROMPT = "prompt"
    STREAM = "stream"
    PIECE = "piece"


class Kind(NamedTuple):
    """What is alike enough to learn from. `model` is the public name."""

    operation: str
    part: Part
    model: str


_STARTS = {
    # One event per token. After the last one come that with the `finish_reason`, that with the usage, and `[DONE]`.
    ("openai.chat", Part.STREAM): Start(400, 600, 3_000, tail_bytes=380),
    # One event per token. The first ones repeat instructions and tools, the last four the text.
    ("openai.responses", Part.STREAM): Start(500, 3_000, 20_000, tail_bytes=1_500, repeats=4),
    # Some tokens per event. After the last one: `content_block_stop`, `message_delta`, `message_stop`.
    ("anthropic.messages", Part.STREAM): Start(150, 600, 2_000, tail_bytes=250),
    # Many tokens per event, and the last event may have some, too.
    ("gemini.generate", Part.STREAM): Start(300, 0, 1_000),
}
_PIECE = Start(8, 200, 3_000)
_PROMPT = Start(6, 0, 500)


def start_of(kind: Kind) -> Start:
    """What is known of a kind beforehand, from the APIs' references and a look at their answers."""
    return _STARTS.get((kind.operation, kind.part), _PROMPT if kind.part is Part.PROMPT else _PIECE)


class Learned:
    """One worker's share of what is learned, and what it knows of all of it."""

    def __init__(self) -> None:
        self._new: dict[Kind, Sums] = {}
        self._known: Mapping[Kind, Sums] = {}
        self._scales: dict[Kind, Scale] = {}

    def scale(self, kind: Kind) -> Scale:
        """As it was when `know` or `put_back` was last called; worked out once between two calls."""
        if kind not in self._scales:
            self._scales[kind] = start_of(kind).fit(self._sums(kind))
        return self._scales[kind]

    def add(self, kind: Kind, tokens: int, size_bytes: int) -> None:
        """Somebody counted the tokens of so many bytes."""
        if self._sums(kind).count < MOST_SAMPLES:
            self._new[kind] = self._new.get(kind, Sums()) + Sums.of(tokens, size_bytes)

    def take(self) -> dict[Kind, Sums]:
        """What is new, to be told to all."""
        new, self._new = self._new, {}
        return new

    def put_back(self, untold: Mapping[Kind, Sums]) -> None:
        """This could not be told: it stays new."""
        for kind, sums in untold.items():
            self._new[kind] = self._new.get(kind, Sums()) + sums
        self._scales.clear()

    def know(self, known: Mapping[Kind, Sums]) -> None:
        """What all workers together have told."""
        self._known = known
        self._scales.clear()

    def _sums(self, kind: Kind) -> Sums:
        return self._known.get(kind, Sums()) + self._new.get(kind, Sums())
