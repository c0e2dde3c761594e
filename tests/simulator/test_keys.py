"""Every script key, seen from a raw client, and the place of its directive."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from extproc.simulator import Simulator, Usage

if TYPE_CHECKING:
    from tests.simulator.conftest import Client

CHAT, MESSAGES, EMBEDDINGS = "/a/v1/chat/completions", "/a/v1/messages", "/a/v1/embeddings"
GENERATE, ARRAY = "/a/v1beta/models/m:generateContent", "/a/v1beta/models/m:streamGenerateContent"
NEVER_MS = 10**9

Until = Callable[[Callable[[], bool]], Awaitable[None]]


def _ask(script: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A body that every API reads."""
    text = f"one two [[sim {json.dumps(script)}]]"
    return {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": text}],
        "contents": [{"parts": [{"text": text}]}],
        "input": text,
        **more,
    }


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


async def _json(client: "Client", path: str, payload: Any) -> Any:
    client.post(path, payload)
    _, _, body = await client.answer()
    return json.loads(body)


def _joined(chunked: bytes) -> bytes:
    """The body of a response that came in HTTP chunks."""
    joined = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        joined += rest[: int(size, 16)]
        chunked = rest[int(size, 16) + 2 :]
    return joined


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ({}, "w0 w1 w2 w3 w4"),
        ({"chunks": 2}, "w0 w1"),
        ({"chunks": 0}, ""),
        ({"chunks": 2, "word_bytes": 4}, "w0xx w1xx"),
    ],
)
async def test_chunks_and_word_bytes(client: "Client", script: dict[str, Any], text: str) -> None:
    """`chunks` words of `word_bytes` each."""
    assert (await _json(client, CHAT, _ask(script)))["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize("path", [CHAT, MESSAGES, EMBEDDINGS, GENERATE])
async def test_no_usage(client: "Client", sim: Simulator, path: str) -> None:
    """`no_usage` leaves the numbers out of the answer and of the totals, not out of the record."""
    answer = await _json(client, path, _ask({"no_usage": True}))
    assert not {"usage", "usageMetadata"} & answer.keys()
    assert sim.received[0].usage in (Usage(2, 5), Usage(2, 0))
    assert (sim.received[0].said_usage, sim.totals) == (False, {})


@pytest.mark.parametrize(("path", "end"), [(CHAT, b"[DONE]"), (MESSAGES, b"message_stop")])
async def test_no_usage_in_streams(client: "Client", path: str, end: bytes) -> None:
    """A stream without usage is else complete."""
    client.post(path, _ask({"no_usage": True}, stream=True, stream_options={"include_usage": True}))
    assert b"usage" not in await client.until(end)


@pytest.mark.parametrize("path", [CHAT, MESSAGES, EMBEDDINGS, GENERATE])
async def test_body_bytes(client: "Client", path: str) -> None:
    """`body_bytes` pads to that size, and what is already larger not at all."""
    for size in (5000, 1):
        client.post(path, _ask({"body_bytes": size}))
        _, headers, body = await client.answer()
        assert json.loads(body)
        assert int(headers["content-length"]) == len(body)
        assert (len(body) == size) is (size == 5000)


async def test_echo_headers(client: "Client") -> None:
    """`echo_headers` sends each header back; without it none is."""
    client.post(CHAT, _ask({"echo_headers": True}), "X-Api-Key: k1\r\naccept: a\r\nAccept: b\r\n")
    _, headers, _ = await client.answer()
    assert (headers["x-echo-x-api-key"], headers["x-echo-accept"]) == ("k1", "a, b")
    client.post(CHAT, _ask({}), "X-Api-Key: k1\r\n")
    assert not [name for name in (await client.answer())[1] if name.startswith("x-echo")]


async def test_status_in_the_path_wins(client: "Client") -> None:
    """A channel can be broken whatever the prompt says, and whatever the body is."""
    for body in (_ask({"status": 200, "retry_after": 9}), b"not JSON"):
        client.post("/b/sim-status=503,retry_after=1/v1/chat/completions", body)
        status, headers, _ = await client.answer()
        assert (status, headers["retry-after"]) == (503, "1")


async def test_only(client: "Client", sim: Simulator) -> None:
    """A prompt can be aimed at one vendor."""
    for vendor in ("a", "b"):
        client.post(f"/{vendor}/v1/chat/completions", _ask({"only": {"a": {"status": 500}}}))
        await client.answer()
    assert [(record.vendor, record.status, record.ended) for record in sim.received] == [
        ("a", 500, "error"),
        ("b", 200, "clean"),
    ]


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ({"first_delay_ms": NEVER_MS}, b""),
        ({"header_then_delay_ms": NEVER_MS}, b"\r\n\r\n"),
        ({"delay_ms": NEVER_MS}, b'"content":""'),
    ],
)
async def test_delays(client: "Client", sim: Simulator, until: Until, script: dict[str, Any], seen: bytes) -> None:
    """Each delay holds the stream where it says: before the head, after it, before each word."""
    client.post(CHAT, _ask(script, stream=True))
    data = await client.until(seen)
    await until(lambda: len(sim.received) == 1)
    assert (b"HTTP/1.1 200" in data, b"chat.completion.chunk" in data) == (bool(seen), b"content" in seen)
    assert (b"w0" in client.data, sim.received[0].ended) == (False, None)
    client.transport.abort()
    await until(lambda: sim.received[0].ended == "client_gone")
    assert sim.received[0].chunks == 0


async def test_delays_end(client: "Client", sim: Simulator) -> None:
    """A stream with every delay is whole in the end."""
    delays = {"first_delay_ms": 1, "header_then_delay_ms": 1, "delay_ms": 0.5, "chunks": 4}
    client.post(CHAT, _ask(delays, stream=True))
    data = await client.until(b"0\r\n\r\n")
    assert all(word in data for word in (b'"w0"', b'" w1"', b'" w2"', b'" w3"', b"[DONE]"))
    assert (sim.received[0].chunks, sim.received[0].ended) == (4, "clean")


@pytest.mark.parametrize(
    ("path", "payload", "words"),
    [
        (CHAT, {"messages": [_user("a [[sim X]]")]}, 1),
        (CHAT, {"messages": [_user([{"type": "text", "text": "a b"}, {"type": "text", "text": "[[sim X]]"}])]}, 2),
        (CHAT, {"messages": [_user("[[sim X]]"), {"role": "assistant", "content": None}, _user("a b")]}, 2),
        (CHAT, {"messages": [{"role": "system", "content": "a [[sim X]]"}, _user("b")]}, 2),
        (CHAT, {"messages": [_user("a [[sim X]]"), {"role": "system", "content": '[[sim {"chunks": 9}]]'}]}, 1),
        ("/a/v1/responses", {"input": "a [[sim X]]"}, 1),
        ("/a/v1/responses", {"input": "a", "instructions": "b c [[sim X]]"}, 3),
        ("/a/v1/responses", {"input": [_user([{"type": "input_text", "text": "a [[sim X]]"}])]}, 1),
        (EMBEDDINGS, {"input": ["a", "b [[sim X]]"]}, 2),
        (MESSAGES, {"max_tokens": 1, "system": [{"type": "text", "text": "[[sim X]]"}], "messages": [_user("a")]}, 1),
        (
            MESSAGES,
            {"max_tokens": 1, "messages": [_user([{"type": "image"}, {"type": "text", "text": "[[sim X]]"}])]},
            1,
        ),
        (GENERATE, {"contents": [{"parts": [{"text": "[[sim X]] a"}]}, {"role": "model", "parts": []}]}, 1),
        (GENERATE, {"contents": [], "systemInstruction": {"parts": [{"text": "a b [[sim X]]"}]}}, 2),
        (GENERATE, {"contents": [], "system_instruction": {"parts": [{"text": "a b [[sim X]]"}]}}, 2),
        ("/a/v1beta/models/m:embedContent", {"content": {"parts": [{"text": "a b [[sim X]]"}]}}, 2),
    ],
)
async def test_where_directives_stand(client: "Client", sim: Simulator, path: str, payload: Any, words: int) -> None:
    """A directive works in every text of a prompt, the user's first, and does not count as words."""
    body = json.dumps({"model": "m"} | payload).replace("X", '{\\"echo_headers\\": true}')
    client.post(path, body.encode())
    status, headers, _ = await client.answer()
    assert (status, "x-echo-host" in headers) == (200, True)
    assert sim.received[0].usage
    assert sim.received[0].usage.input == words


async def test_stream_as_array(client: "Client", sim: Simulator) -> None:
    """Gemini's stream without `alt=sse` is one JSON array of chunks, an error an array of one."""
    client.post(ARRAY, _ask({"chunks": 2}))
    _, _, chunked = (await client.until(b"0\r\n\r\n")).partition(b"\r\n\r\n")
    chunks = json.loads(_joined(chunked))
    parts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks]
    assert (parts, sim.received[0].chunks) == (["w0", " w1", ""], 2)
    client.data.clear()
    assert [error["error"]["code"] for error in await _json(client, ARRAY, _ask({"status": 429}))] == [429]
