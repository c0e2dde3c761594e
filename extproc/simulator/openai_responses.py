"""OpenAI's `POST /responses`; streams as of https://platform.openai.com/docs/api-reference/responses-streaming."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from extproc.simulator import words
from extproc.simulator.answer import Answer, Ask, Content, Turn, event, streamed, texts_of, whole
from extproc.simulator.openai_chat import headers
from extproc.simulator.usage import Usage

_SLOT = b"@word@"
_NUMBER_SLOT = b"-1"
_EVENTS_BEFORE_TEXT = 4


class _Item(Struct):
    role: str = ""
    content: Content = None


class _Request(Struct):
    model: str
    input: str | list[_Item]
    instructions: str | None = None
    stream: bool | None = None


_decode = msgspec.json.Decoder(_Request).decode


def read(body: bytes) -> Ask:
    """What the request asks for. Raises msgspec.MsgspecError."""
    request = _decode(body)
    items = [_Item("user", request.input)] if isinstance(request.input, str) else request.input
    others = [text for item in items if item.role != "user" for text in texts_of(item.content)]
    return Ask(
        model=request.model,
        user=tuple(text for item in items if item.role == "user" for text in texts_of(item.content)),
        other=(*texts_of(request.instructions), *others),
        respond=_stream if request.stream else _whole,
    )


def _whole(turn: Turn) -> Answer:
    return whole(turn.script, _completed(turn), headers=headers(turn))


def _stream(turn: Turn) -> Answer:
    empty, full = _part(""), _part(turn.text)
    at_item: dict[str, Any] = {"output_index": 0}
    at_part = at_item | {"item_id": _item_id(turn), "content_index": 0}
    numbered = _Numbered()
    opening = (
        numbered("response.created", {"response": _response(turn)})
        + numbered("response.in_progress", {"response": _response(turn)})
        + numbered("response.output_item.added", at_item | {"item": _item(turn, "in_progress", [])})
        + numbered("response.content_part.added", at_part | {"part": empty})
    )
    numbered.next += turn.script.chunks
    closing = (
        numbered("response.output_text.done", at_part | {"text": turn.text, "logprobs": []})
        + numbered("response.content_part.done", at_part | {"part": full})
        + numbered("response.output_item.done", at_item | {"item": _item(turn, "completed", [full])})
        + numbered("response.completed", {"response": _completed(turn)})
    )
    return streamed(turn, opening=opening, frames=_frames(turn, at_part), closing=closing, headers=headers(turn))


class _Numbered:
    """Makes events, each with the next sequence number."""

    def __init__(self) -> None:
        self.next = 0

    def __call__(self, name: str, fields: dict[str, Any]) -> bytes:
        payload = {"type": name, "sequence_number": self.next} | fields
        self.next += 1
        return event(payload, name)


def _frames(turn: Turn, at_part: dict[str, Any]) -> Callable[[int, int], bytes]:
    name = "response.output_text.delta"
    fields = {"type": name, "sequence_number": -1} | at_part | {"delta": _SLOT.decode(), "logprobs": []}
    before, _, rest = event(fields, name).partition(_NUMBER_SLOT)
    between, _, after = rest.partition(_SLOT)

    def frames(start: int, stop: int) -> bytes:
        deltas = enumerate(words.deltas(start, stop, turn.script.word_bytes), start + _EVENTS_BEFORE_TEXT)
        return b"".join([b"%b%d%b%b%b" % (before, number, between, word, after) for number, word in deltas])

    return frames


def _item_id(turn: Turn) -> str:
    return f"msg_sim{turn.seq}"


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _item(turn: Turn, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": _item_id(turn),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _completed(turn: Turn) -> dict[str, Any]:
    response = _response(turn) | {
        "status": "completed",
        "completed_at": turn.created,
        "output": [_item(turn, "completed", [_part(turn.text)])],
    }
    if not turn.script.no_usage:
        response["usage"] = _usage(turn.usage)
    return response


def _response(turn: Turn) -> dict[str, Any]:
    return {
        "id": f"resp_sim{turn.seq}",
        "object": "response",
        "created_at": turn.created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": turn.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
