"""Gemini's `:generateContent`, `:streamGenerateContent` and `:countTokens`.

As of https://ai.google.dev/api/generate-content: `promptTokenCount` includes `cachedContentTokenCount`,
`candidatesTokenCount` leaves out `thoughtsTokenCount`, and numbers that are zero are left out of the JSON.
Streams are server-sent events with `?alt=sse`, else one JSON array; each chunk carries the numbers so far.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from extproc.simulator import words
from extproc.simulator.answer import (
    Answer,
    Ask,
    BadRequestError,
    TextPart,
    Turn,
    encode,
    equal_frames,
    streamed,
    whole,
)
from extproc.simulator.usage import Usage

CLASSES = ("input", "output", "cached", "reasoning")
_WORD_SLOT = b"@word@"
_MADE_SLOT = -1
_TOTAL_SLOT = -2


class Content(Struct):
    """A turn of the conversation; without a role it is the user's."""

    parts: list[TextPart] = []
    role: str | None = None

    @property
    def texts(self) -> list[str]:
        """The texts of its parts."""
        return [part.text for part in self.parts]


class _Request(Struct, rename="camel"):
    contents: list[Content]
    system_instruction: Content | None = None
    snake_case_instruction: Content | None = msgspec.field(default=None, name="system_instruction")


class _CountRequest(Struct, rename="camel"):
    contents: list[Content] | None = None
    generate_content_request: _Request | None = None


_decode = msgspec.json.Decoder(_Request).decode
_decode_count = msgspec.json.Decoder(_CountRequest).decode


def read(body: bytes, model: str) -> Ask:
    """What a request for content asks for. Raises msgspec.MsgspecError."""
    return _ask(_decode(body), model, _whole)


def read_stream(body: bytes, model: str, sse: bool) -> Ask:
    """What a request for a stream of content asks for. Raises msgspec.MsgspecError."""
    return _ask(_decode(body), model, partial(_stream, sse))


def read_count(body: bytes, model: str) -> Ask:
    """What a request to count tokens asks for. Raises msgspec.MsgspecError, BadRequestError."""
    asked = _decode_count(body)
    request = asked.generate_content_request or _Request(contents=asked.contents or [])
    if not request.contents:
        raise BadRequestError("contents is not specified")
    return _ask(request, model, _count, metered=False)


def _ask(request: _Request, model: str, respond: Callable[[Turn], Answer], metered: bool = True) -> Ask:
    system = request.system_instruction or request.snake_case_instruction or Content()
    answers = [text for content in request.contents if content.role == "model" for text in content.texts]
    return Ask(
        model=model,
        user=tuple(text for content in request.contents if content.role != "model" for text in content.texts),
        other=(*system.texts, *answers),
        respond=respond,
        classes=CLASSES,
        metered=metered,
    )


def _count(turn: Turn) -> Answer:
    details = [{"modality": "TEXT", "tokenCount": turn.usage.input}]
    return whole(turn.script, {"totalTokens": turn.usage.input, "promptTokensDetails": details})


def _whole(turn: Turn) -> Answer:
    return whole(turn.script, _last_chunk(turn, turn.text))


def _stream(sse: bool, turn: Turn) -> Answer:
    before, after = (b"data: ", b"\r\n\r\n") if sse else (b"", b",\r\n")
    last = encode(_last_chunk(turn, ""))
    return streamed(
        turn,
        opening=b"" if sse else b"[",
        frames=_frames(turn, before, after),
        closing=before + last + after if sse else last + b"]",
        content_type="text/event-stream" if sse else "application/json; charset=UTF-8",
    )


def _frames(turn: Turn, before: bytes, after: bytes) -> Callable[[int, int], bytes]:
    frame = before + encode(_chunk(turn, _WORD_SLOT.decode(), _MADE_SLOT, _TOTAL_SLOT)) + after
    if turn.script.no_usage:
        return equal_frames(turn, frame, _WORD_SLOT)
    to_word, _, rest = frame.partition(_WORD_SLOT)
    to_made, _, rest = rest.partition(b"%d" % _MADE_SLOT)
    to_total, _, to_end = rest.partition(b"%d" % _TOTAL_SLOT)

    def counted(so_far: int, word: bytes) -> bytes:
        made, total = _numbers(turn, so_far)
        return b"%b%b%b%d%b%d%b" % (to_word, word, to_made, made, to_total, total, to_end)

    def frames(start: int, stop: int) -> bytes:
        deltas = enumerate(words.deltas(start, stop, turn.script.word_bytes), start + 1)
        return b"".join([counted(so_far, word) for so_far, word in deltas])

    return frames


def _last_chunk(turn: Turn, text: str) -> dict[str, Any]:
    return _chunk(turn, text, *_numbers(turn, turn.script.chunks), finish={"finishReason": "STOP"})


def _numbers(turn: Turn, so_far: int) -> tuple[int, int]:
    """The candidates' and all tokens after so many chunks."""
    candidates = turn.usage.output - turn.usage.reasoning
    made = candidates * so_far // turn.script.chunks if so_far < turn.script.chunks else candidates
    return made, turn.usage.input + turn.usage.reasoning + made


def _chunk(turn: Turn, text: str, made: int, total: int, finish: dict[str, str] | None = None) -> dict[str, Any]:
    content = {"parts": [{"text": text}], "role": "model"}
    chunk: dict[str, Any] = {"candidates": [{"content": content, **(finish or {}), "index": 0}]}
    if not turn.script.no_usage:
        chunk["usageMetadata"] = _usage(turn.usage, made, total) | _modalities(turn, bool(finish))
    return chunk | {"modelVersion": turn.model, "responseId": f"sim{turn.seq}"}


def _usage(usage: Usage, made: int, total: int) -> dict[str, Any]:
    numbers = {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": made,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": total,
    }
    return {name: number for name, number in numbers.items() if number}


def _modalities(turn: Turn, finished: bool) -> dict[str, Any]:
    """The tokens by modality: those of the prompt in every chunk, those of the answer in the last."""
    usage, said = turn.usage, turn.script.usage
    made = usage.output - usage.reasoning if finished else 0
    found = {
        "promptTokensDetails": _by_modality(usage.input, said.audio, said.image or 0),
        "cacheTokensDetails": _by_modality(usage.cached, said.cached_audio, said.cached_image),
        "candidatesTokensDetails": _by_modality(made, said.output_audio, said.output_image),
    }
    return {name: details for name, details in found.items() if details}


def _by_modality(whole: int, audio: int, image: int) -> list[dict[str, Any]]:
    counts = {"TEXT": whole - audio - image, "AUDIO": audio, "IMAGE": image} if whole else {}
    return [{"modality": name, "tokenCount": count} for name, count in counts.items() if count]
