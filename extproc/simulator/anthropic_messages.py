"""Anthropic's `POST /messages` and `/messages/count_tokens`.

Streams as of https://docs.claude.com/en/docs/build-with-claude/streaming. `input_tokens` leaves out what was
read from or written to the cache; the numbers of `message_delta` are cumulative, so they repeat the input's.
"""

from typing import Any

import msgspec
from msgspec import Struct

from extproc.simulator.answer import (
    Answer,
    Ask,
    Content,
    Headers,
    Turn,
    equal_frames,
    event,
    streamed,
    texts_of,
    whole,
)
from extproc.simulator.usage import Usage

_SLOT = b"@word@"


class _Message(Struct):
    role: str
    content: Content


class _CountRequest(Struct):
    model: str
    messages: list[_Message]
    system: Content = None


class _Request(_CountRequest, kw_only=True):
    max_tokens: int
    stream: bool | None = None


_decode = msgspec.json.Decoder(_Request).decode
_decode_count = msgspec.json.Decoder(_CountRequest).decode


def read(body: bytes) -> Ask:
    """What a request for a message asks for. Raises msgspec.MsgspecError."""
    request = _decode(body)
    user, other = _texts(request)
    return Ask(model=request.model, user=user, other=other, respond=_stream if request.stream else _whole)


def read_count(body: bytes) -> Ask:
    """What a request to count tokens asks for. Raises msgspec.MsgspecError."""
    request = _decode_count(body)
    user, other = _texts(request)
    return Ask(model=request.model, user=user, other=other, respond=_count, metered=False)


def _texts(request: _CountRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    messages = [(message.role == "user", texts_of(message.content)) for message in request.messages]
    answers = [text for is_user, texts in messages if not is_user for text in texts]
    return (
        tuple(text for is_user, texts in messages if is_user for text in texts),
        (*texts_of(request.system), *answers),
    )


def _headers(turn: Turn) -> Headers:
    return (("request-id", f"req_sim{turn.seq}"),)


def _count(turn: Turn) -> Answer:
    return whole(turn.script, {"input_tokens": turn.usage.input}, headers=_headers(turn))


def _whole(turn: Turn) -> Answer:
    message = _message(turn, [{"type": "text", "text": turn.text}], "end_turn")
    if not turn.script.no_usage:
        message["usage"] = _usage(turn, turn.usage.output) | {"output_tokens_details": _thinking(turn.usage)}
    return whole(turn.script, message, headers=_headers(turn))


def _stream(turn: Turn) -> Answer:
    start = _message(turn, [], None)
    end: dict[str, Any] = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    if not turn.script.no_usage:
        start["usage"] = _usage(turn, output=1)
        end["usage"] = _cumulative(turn.usage) | {"output_tokens_details": _thinking(turn.usage)}
    block = {"type": "text", "text": ""}
    return streamed(
        turn,
        opening=(
            _event("message_start", message=start)
            + _event("content_block_start", index=0, content_block=block)
            + _event("ping")
        ),
        frames=equal_frames(turn, _text_delta(_SLOT.decode()), _SLOT),
        closing=_event("content_block_stop", index=0) + _event("message_delta", **end) + _event("message_stop"),
        headers=_headers(turn),
    )


def _event(name: str, **fields: Any) -> bytes:
    return event({"type": name} | fields, name)


def _text_delta(text: str) -> bytes:
    return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def _message(turn: Turn, content: list[dict[str, Any]], stop_reason: str | None) -> dict[str, Any]:
    return {
        "id": f"msg_sim{turn.seq}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
    }


def _usage(turn: Turn, output: int) -> dict[str, Any]:
    """The numbers known when `output` tokens have been made."""
    usage, hour = turn.usage, turn.script.usage.cache_write_1h
    return _cumulative(usage) | {
        "output_tokens": output,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write - hour,
            "ephemeral_1h_input_tokens": hour,
        },
        "service_tier": "standard",
    }


def _cumulative(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.uncached,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }


def _thinking(usage: Usage) -> dict[str, int] | None:
    return {"thinking_tokens": usage.reasoning} if usage.reasoning else None
