"""OpenAI's `POST /embeddings`, with numbers that a float32 holds exactly: both encodings say the same."""

import base64
import struct
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from extproc.simulator.answer import Answer, Ask, BadRequestError, Turn, whole
from extproc.simulator.openai_chat import headers

DEFAULT_DIMENSIONS = 8


class _Request(Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=8192)] | None = None


_decode = msgspec.json.Decoder(_Request).decode


def vector(index: int, dimensions: int) -> list[float]:
    """The embedding of the input at this place in the request."""
    return [((index + place) % 16 - 8) / 16 for place in range(dimensions)]


def read(body: bytes) -> Ask:
    """What the request asks for. Raises msgspec.MsgspecError, BadRequestError."""
    request = _decode(body)
    inputs = [request.input] if isinstance(request.input, str) else request.input
    if not inputs:
        raise BadRequestError("`input` is empty - at `$.input`")
    tokens = sum(len(item) if isinstance(item, list) else 1 for item in inputs if not isinstance(item, str))
    is_one_list_of_tokens = all(isinstance(item, int) for item in inputs)
    return Ask(
        model=request.model,
        user=tuple(item for item in inputs if isinstance(item, str)),
        respond=partial(_whole, request, 1 if is_one_list_of_tokens else len(inputs)),
        token_words=tokens,
        classes=("input",),
    )


def _whole(request: _Request, count: int, turn: Turn) -> Answer:
    payload: dict[str, Any] = {
        "object": "list",
        "data": [_embedding(request, index) for index in range(count)],
        "model": turn.model,
    }
    if not turn.script.no_usage:
        payload["usage"] = {"prompt_tokens": turn.usage.input, "total_tokens": turn.usage.input}
    return whole(turn.script, payload, headers=headers(turn))


def _embedding(request: _Request, index: int) -> dict[str, Any]:
    values = vector(index, request.dimensions or DEFAULT_DIMENSIONS)
    packed = struct.pack(f"<{len(values)}f", *values)
    is_base64 = request.encoding_format == "base64"
    embedding = base64.b64encode(packed).decode() if is_base64 else values
    return {"object": "embedding", "index": index, "embedding": embedding}
