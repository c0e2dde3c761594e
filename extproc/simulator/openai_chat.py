"""OpenAI's `POST /chat/completions`.

Streams as of https://platform.openai.com/docs/api-reference/chat-streaming: usage comes only when
`stream_options.include_usage` asks for it, in a last chunk without choices; the others then say `usage: null`.
"""

from functools import partial
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

_SLOT = b"@word@"


class _Message(Struct):
    role: str
    content: Content = None


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Request(Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


_decode = msgspec.json.Decoder(_Request).decode


def read(body: bytes) -> Ask:
    """What the request asks for. Raises msgspec.MsgspecError."""
    request = _decode(body)
    include_usage = bool(request.stream_options and request.stream_options.include_usage)
    messages = [(message.role == "user", texts_of(message.content)) for message in request.messages]
    return Ask(
        model=request.model,
        user=tuple(text for is_user, texts in messages if is_user for text in texts),
        other=tuple(text for is_user, texts in messages if not is_user for text in texts),
        respond=partial(_stream, include_usage) if request.stream else _whole,
        says_usage=include_usage or not request.stream,
    )


def headers(turn: Turn) -> Headers:
    """The headers OpenAI's SDK reads."""
    return (("x-request-id", f"req_sim{turn.seq}"),)


def _whole(turn: Turn) -> Answer:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    payload = _envelope(turn, "chat.completion") | {"choices": [choice]}
    if not turn.script.no_usage:
        payload["usage"] = usage_of(turn)
    return whole(turn.script, payload, headers=headers(turn))


def _stream(include_usage: bool, turn: Turn) -> Answer:
    told = include_usage and not turn.script.no_usage
    envelope = _envelope(turn, "chat.completion.chunk") | ({"usage": None} if told else {})

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event(envelope | {"choices": [choice]})

    usage = event(envelope | {"choices": [], "usage": usage_of(turn)}) if told else b""
    return streamed(
        turn,
        opening=chunk({"role": "assistant", "content": "", "refusal": None}),
        frames=equal_frames(turn, chunk({"content": _SLOT.decode()}), _SLOT),
        closing=chunk({}, "stop") + usage + b"data: [DONE]\n\n",
        headers=headers(turn),
    )


def _envelope(turn: Turn, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-sim{turn.seq}",
        "object": kind,
        "created": turn.created,
        "model": turn.model,
        "service_tier": "default",
        "system_fingerprint": "fp_sim",
    }


def usage_of(turn: Turn) -> dict[str, Any]:
    """Usage in OpenAI's words; in DeepSeek's older ones if the script says what its cache hit."""
    usage, said = turn.usage, turn.script.usage
    told: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }
    if said.hit is not None:
        return told | {"prompt_cache_hit_tokens": said.hit, "prompt_cache_miss_tokens": usage.input - said.hit}
    return told | {
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": said.audio,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
