"""Gemini's `:embedContent` and `:batchEmbedContents`, as of https://ai.google.dev/api/embeddings."""

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from extproc.simulator.answer import Answer, Ask, BadRequestError, Turn, whole
from extproc.simulator.gemini_generate import Content
from extproc.simulator.openai_embeddings import DEFAULT_DIMENSIONS, vector


class _Request(Struct, rename="camel"):
    content: Content
    output_dimensionality: Annotated[int, Meta(ge=1, le=8192)] | None = None


class _Batch(Struct):
    requests: list[_Request]


_decode = msgspec.json.Decoder(_Request).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode


def read(body: bytes, model: str) -> Ask:
    """What a request for one embedding asks for. Raises msgspec.MsgspecError."""
    return _ask(model, [_decode(body)], is_batch=False)


def read_batch(body: bytes, model: str) -> Ask:
    """What a request for several embeddings asks for. Raises msgspec.MsgspecError, BadRequestError."""
    requests = _decode_batch(body).requests
    if not requests:
        raise BadRequestError("at least one request is required")
    return _ask(model, requests, is_batch=True)


def _ask(model: str, requests: list[_Request], is_batch: bool) -> Ask:
    return Ask(
        model=model,
        user=tuple(text for request in requests for text in request.content.texts),
        respond=partial(_whole, requests, is_batch),
        classes=("input",),
    )


def _whole(requests: list[_Request], is_batch: bool, turn: Turn) -> Answer:
    embeddings = [
        {"values": vector(index, request.output_dimensionality or DEFAULT_DIMENSIONS)}
        for index, request in enumerate(requests)
    ]
    payload: dict[str, Any] = {"embeddings": embeddings} if is_batch else {"embedding": embeddings[0]}
    if not turn.script.no_usage:
        count = turn.usage.input
        payload["usageMetadata"] = {"promptTokenCount": count, "totalTokenCount": count}
    return whole(turn.script, payload)
