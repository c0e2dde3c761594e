"""What is asked: four APIs, whole and streamed, long and short, some of it cached or thought; drawn from a seed."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.e2e.calls import CAP, FORMS, Form, Script, headers

KINDS = (
    "chat stream",
    "messages stream",
    "responses stream",
    "generate stream",
    "chat",
    "messages",
    "responses",
    "generate",
)
SCRIPT_BYTES = 150
"""About what a script takes in a prompt: a vendor would count it as any other text."""

CACHED_BYTES = (4500, 8000)
"""Vendors cache no prompt of less than 1,024 tokens (OpenAI's guide to prompt caching; Anthropic's and Gemini's)."""

LETTERS = "abcdefghijklmnopqrstuvwxyz     "

LAST_WORDS = {
    "/v1/chat/completions": b"[DONE]",
    "/v1/responses": b"response.completed",
    "/v1/messages": b"message_stop",
    "/v1beta/models/gem:streamGenerateContent?alt=sse": b'"finishReason"',
}
"""What the last event of a stream says."""


class Point(StrEnum):
    """Where a request is when the fault strikes.

    BEFORE_HOLD    it is at the sidecar, which waits for Redis
    AFTER_HOLD     it is held and at the vendor, who has not answered
    MID_ANSWER     so many chunks, or half of an answer in one piece, have reached the caller
    LAST_BYTE      the caller has all of the answer's bytes; a stream's HTTP message has not ended yet
    BEFORE_SETTLE  the caller has the whole answer, and nobody has charged it
    """

    BEFORE_HOLD = "before hold"
    AFTER_HOLD = "after hold"
    MID_ANSWER = "mid-answer"
    LAST_BYTE = "last byte"
    BEFORE_SETTLE = "before settle"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its bytes, whether the vendor waits at the point, and what has then reached the caller."""

    request: bytes
    waits: bool
    marker: bytes = b""


def requests(key: str, count: int, point: Point, draw: random.Random) -> list[Asked]:
    """So many requests, of every kind in turn, whose answers stop at this point."""
    return [_asked(form, cached, key, point, draw) for form, cached in _kinds(count)]


def clean(key: str, count: int, draw: random.Random) -> list[bytes]:
    """Requests of the same mix, whose answers go to their end."""
    return [_encode(form, key, *_drawn(draw, cached)) for form, cached in _kinds(count)]


def unknown_model(key: str) -> bytes:
    """A request that every worker refuses at once, having looked up the key."""
    return _http(FORMS["chat"], key, b'{"model": "unknown", "messages": []}')


def _kinds(count: int) -> Iterator[tuple[Form, bool]]:
    """Every kind in turn, and whether it has a long prompt, half of it cached: a vendor may say so only at the end."""
    for number in range(count):
        yield FORMS[KINDS[number % len(KINDS)]], bool(number // len(KINDS) % 2)


def _asked(form: Form, cached: bool, key: str, point: Point, draw: random.Random) -> Asked:
    text, script = _drawn(draw, cached)
    match point:
        case Point.BEFORE_HOLD:
            return Asked(_encode(form, key, text, script), waits=False)
        case Point.AFTER_HOLD:
            return Asked(_encode(form, key, text, {**script, "pause_at": -1}), waits=True)
        case Point.LAST_BYTE:
            asked = _encode(form, key, text, {**script, "pause_at": CAP + 1})
            return Asked(asked, form.stream, LAST_WORDS.get(form.path, b""))
    at = draw.randint(1, script["chunks"] - 1) if form.stream else 1
    marker = b"w%d" % (at - 1) if form.stream else b"{"
    return Asked(_encode(form, key, text, {**script, "pause_at": at}), True, marker)


def _drawn(draw: random.Random, cached: bool) -> tuple[str, Script]:
    """A prompt of about four bytes a token, and an answer of up to `CAP` tokens, some of them thought."""
    size_bytes = draw.randint(*(CACHED_BYTES if cached else (100, 1500)))
    given = round((size_bytes + SCRIPT_BYTES) / draw.uniform(3.8, 4.4))
    thought = draw.choice((0, 0, 0, draw.randint(1, 9)))
    chunks = draw.randint(3, CAP - thought)
    usage = {
        "input": given,
        "cached": given // 2 if cached else 0,
        "output": chunks + thought,
        "reasoning": thought,
    }
    return "".join(draw.choices(LETTERS, k=size_bytes)), {"chunks": chunks, "usage": usage}


def _encode(form: Form, key: str, text: str, script: Script) -> bytes:
    return _http(form, key, form.encode(f"{text} [[sim {json.dumps(script)}]]"))


def _http(form: Form, key: str, body: bytes) -> bytes:
    fields = {**headers(form, key), "host": "tollgate", "content-length": str(len(body))}
    lines = [f"POST {form.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
