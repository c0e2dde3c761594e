"""What cannot be read is refused in the vendor's shape."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from extproc.simulator import Simulator

if TYPE_CHECKING:
    from tests.simulator.conftest import Client

_PATHS = {
    "/a/v1/chat/completions": "openai",
    "/a/v1/responses": "openai",
    "/a/v1/embeddings": "openai",
    "/a/v1/messages": "anthropic",
    "/a/v1/messages/count_tokens": "anthropic",
    "/a/v1beta/models/m:generateContent": "gemini",
    "/a/v1beta/models/m:streamGenerateContent?alt=sse": "gemini",
    "/a/v1beta/models/m:embedContent": "gemini",
    "/a/v1beta/models/m:batchEmbedContents": "gemini",
    "/a/v1beta/models/m:countTokens": "gemini",
    "/a/v1beta/models/m:predict": "gemini",
}
_BODIES: dict[str, bytes] = {
    "empty": b"",
    "cut": b'{"model": "m", "messages": [',
    "no object": b"[]",
    "no field": b"{}",
    "wrong types": b'{"model": 5, "messages": 5, "input": 5, "contents": 5, "content": 5, "requests": 5}',
    "no UTF-8": b'{"model": "\xff", "messages": [], "input": "\xff", "contents": "\xff", "content": "\xff"}',
}
_SHAPES: dict[str, tuple[str, Any]] = {
    "openai": ("type", "invalid_request_error"),
    "anthropic": ("type", "invalid_request_error"),
    "gemini": ("status", "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("path", _PATHS)
@pytest.mark.parametrize("body", _BODIES.values(), ids=_BODIES.keys())
async def test_malformed(client: "Client", sim: Simulator, path: str, body: bytes) -> None:
    """A body that this API does not take is a 400 in its dialect, recorded as an error without usage."""
    client.post(path, body)
    status, headers, answer = await client.answer()
    field, value = _SHAPES[_PATHS[path]]
    assert (status, headers["content-type"]) == (400, "application/json")
    assert json.loads(answer)["error"][field] == value
    record = sim.received[0]
    assert (record.status, record.usage, record.ended, record.body_bytes) == (400, None, "error", len(body))


@pytest.mark.parametrize(
    ("path", "payload", "names"),
    [
        ("/v1/chat/completions", {"messages": []}, "model"),
        ("/v1/chat/completions", {"model": "m", "messages": [{"content": "a"}]}, "role"),
        ("/v1/messages", {"model": "m", "messages": []}, "max_tokens"),
        ("/v1/embeddings", {"model": "m", "input": []}, "input"),
        ("/v1/embeddings", {"model": "m", "input": "a", "dimensions": 0}, "dimensions"),
        ("/v1/embeddings", {"model": "m", "input": "a", "encoding_format": "hex"}, "encoding_format"),
        ("/v1beta/models/m:countTokens", {}, "contents"),
        ("/v1beta/models/m:batchEmbedContents", {"requests": []}, "request"),
        ("/v1beta/models/m:predict", {"instances": []}, "instances"),
        ("/v1/responses", {"model": "m", "input": '[[sim {"chunk": 1}]]'}, "chunk"),
        ("/v1/responses", {"model": "m", "input": '[[sim {"usage": {"cached": 9}}]]'}, "contradicts"),
        ("/sim-chunk=1/v1/responses", {"model": "m", "input": "a"}, "chunk"),
    ],
)
async def test_named(client: "Client", path: str, payload: Any, names: str) -> None:
    """The message names what is wrong, in the request or in its script."""
    client.post(path, payload)
    status, _, body = await client.answer()
    assert status == 400
    assert names in json.loads(body)["error"]["message"]


async def test_unknown_path(client: "Client", sim: Simulator) -> None:
    """A path that is no API is a 404, and recorded."""
    client.post("/a/v1/nothing", {})
    assert (await client.answer())[0] == 404
    assert (sim.received[0].vendor, sim.received[0].status) == ("a", 404)
