"""Between the vendors and the wire: what is asked for (`Ask`), what an answer depends on (`Turn`), the `Answer`."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from extproc.simulator import words
from extproc.simulator.script import Script
from extproc.simulator.usage import Usage

encode = msgspec.json.encode

ALL_CLASSES = ("input", "output", "cached", "cache_write", "reasoning")

Headers = tuple[tuple[str, str], ...]


class BadRequestError(ValueError):
    """The body is not what this API takes; the message is for the caller."""


class Turn(Struct, frozen=True):
    """All that an answer depends on. `created` is in seconds since the epoch."""

    seq: int
    created: int
    model: str
    script: Script
    usage: Usage

    @property
    def text(self) -> str:
        """The whole text of the answer."""
        return words.text(self.script.chunks, self.script.word_bytes)


class Answer(Struct, frozen=True):
    """A response ready to be written: `opening`, then frames 0 to `count`, then `closing`.

    `frames(start, stop)` makes the bytes of some frames at once. `length` is the content-length to announce,
    None for an answer that is sent in HTTP chunks.
    """

    status: int
    headers: Headers
    opening: bytes
    frames: Callable[[int, int], bytes]
    count: int
    closing: bytes
    length: int | None


class Ask(Struct, frozen=True):
    """What a request asks for, in no vendor's words.

    `user` and `other` are the prompt's texts in order; `token_words` counts what comes as tokens already.
    `classes` are the fields of Usage that the answer can say. An answer that is not `metered` costs nothing,
    one that does not say its usage (`says_usage`) costs all the same.
    """

    model: str
    respond: Callable[[Turn], Answer]
    user: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    token_words: int = 0
    classes: tuple[str, ...] = ALL_CLASSES
    metered: bool = True
    says_usage: bool = True


class TextPart(Struct):
    """A piece of content; whatever is not text counts as no words."""

    text: str = ""


Content = str | list[TextPart] | None


def texts_of(content: Content) -> list[str]:
    """The texts of a message's content, in the shapes OpenAI and Anthropic take."""
    if isinstance(content, str):
        return [content]
    return [part.text for part in content or ()]


def whole(
    script: Script, payload: Mapping[str, Any] | list[Any], *, status: int = 200, headers: Headers = ()
) -> Answer:
    """A JSON answer in one piece; in two halves if the script breaks it off or pauses between them."""
    body = encode(payload)
    padding = b" " * (script.body_bytes - len(body))
    body = body[:-1] + padding + body[-1:]
    halved = bool(script.cut_after or script.pause_at)
    middle = len(body) // 2 if halved else len(body)
    pieces = body[:middle], body[middle:]
    return Answer(
        status=status,
        headers=(("content-type", "application/json"), *headers),
        opening=b"",
        frames=lambda start, stop: b"".join(pieces[start:stop]),
        count=2 if halved else 1,
        closing=b"",
        length=len(body),
    )


def streamed(
    turn: Turn,
    *,
    opening: bytes,
    frames: Callable[[int, int], bytes],
    closing: bytes,
    content_type: str = "text/event-stream; charset=utf-8",
    headers: Headers = (),
) -> Answer:
    """An answer of one frame per word."""
    return Answer(
        status=200,
        headers=(("content-type", content_type), ("cache-control", "no-cache"), *headers),
        opening=opening,
        frames=frames,
        count=turn.script.chunks,
        closing=closing,
        length=None,
    )


def equal_frames(turn: Turn, frame: bytes, slot: bytes) -> Callable[[int, int], bytes]:
    """Frames that differ in their word alone, which goes where `slot` stands last in `frame`."""
    before, _, after = frame.rpartition(slot)
    between = after + before

    def frames(start: int, stop: int) -> bytes:
        return before + between.join(words.deltas(start, stop, turn.script.word_bytes)) + after

    return frames


def event(payload: Mapping[str, Any], name: str = "") -> bytes:
    """One server-sent event, named if the vendor names its events."""
    data = b"data: " + encode(payload) + b"\n\n"
    return b"event: %b\n%b" % (name.encode(), data) if name else data
