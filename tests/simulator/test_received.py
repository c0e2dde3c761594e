"""What the simulator remembers, and says about it."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from extproc.simulator import Received, Simulator, Usage
from extproc.simulator.received import Journal

if TYPE_CHECKING:
    from tests.simulator.conftest import Client


def _ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


async def _about(client: "Client", path: str, method: str = "GET") -> tuple[int, Any]:
    client.transport.write(f"{method} {path} HTTP/1.1\r\n\r\n".encode())
    status, _, body = await client.answer()
    return status, json.loads(body)


async def test_record(client: "Client") -> None:
    """A request is recorded with all that came, what it cost, and how it ended; questions about it are not."""
    client.post("/a/v1/chat/completions?x=1", _ask("hi you"), "Authorization: Bearer k\r\n")
    await client.answer()
    _, records = await _about(client, "/_sim/received")
    assert len(records) == 1
    body = json.dumps(_ask("hi you"), separators=(",", ":"))
    assert records[0] == {
        "seq": 1,
        "vendor": "a",
        "method": "POST",
        "path": "/a/v1/chat/completions?x=1",
        "headers": {"host": "sim", "authorization": "Bearer k", "content-length": str(len(body))},
        "body": body,
        "body_bytes": len(body),
        "model": "m",
        "status": 200,
        "usage": {"input": 2, "output": 5, "cached": 0, "cache_write": 0, "reasoning": 0},
        "said_usage": True,
        "chunks": 1,
        "ended": "clean",
        "produced": {"input": 2, "output": 5, "cached": 0, "cache_write": 0, "reasoning": 0},
        "request_id": "",
    }


async def test_selected(client: "Client") -> None:
    """Records can be asked for by vendor and from a number on, and emptied with the totals."""
    for vendor in "abab":
        client.post(f"/{vendor}/v1/chat/completions", _ask("hi"))
        await client.answer()
    for query, expected in [
        ("", [1, 2, 3, 4]),
        ("?vendor=a", [1, 3]),
        ("?since=2", [3, 4]),
        ("?vendor=b&since=2", [4]),
    ]:
        _, records = await _about(client, f"/_sim/received{query}")
        assert [record["seq"] for record in records] == expected
    await _about(client, "/_sim/received", "DELETE")
    assert await _about(client, "/_sim/received") == (200, [])
    assert await _about(client, "/_sim/totals") == (200, {})


async def test_totals(client: "Client") -> None:
    """Totals are the sums by model of what answers said, errors and broken ones not among them."""
    scripts = [
        {},
        {"usage": {"input": 10, "cached": 4, "cache_write": 1, "reasoning": 2}},
        {"status": 500},
        {"no_usage": True},
    ]
    for script in scripts:
        client.post("/a/v1/chat/completions", _ask(f"hi [[sim {json.dumps(script)}]]"))
        await client.answer()
    client.post("/b/v1/messages", _ask("a b", model="other", max_tokens=1))
    await client.answer()
    assert await _about(client, "/_sim/totals") == (
        200,
        {
            "m": {"requests": 2, "input": 11, "output": 10, "cached": 4, "cache_write": 1, "reasoning": 2},
            "other": {"requests": 1, "input": 2, "output": 5, "cached": 0, "cache_write": 0, "reasoning": 0},
        },
    )


@pytest.mark.parametrize(("path", "status"), [("/_sim/received?since=x", 400), ("/_sim/else", 404)])
async def test_bad_questions(client: "Client", path: str, status: int) -> None:
    """What it cannot answer about itself is an error."""
    assert (await _about(client, path))[0] == status


@pytest.mark.parametrize(("size", "is_kept"), [(65536, True), (65537, False)])
async def test_large_bodies(client: "Client", sim: Simulator, size: int, is_kept: bool) -> None:
    """Of a body above 64 KiB only the size is kept."""
    body = json.dumps(_ask("")).encode()
    client.post("/a/v1/chat/completions", body + b" " * (size - len(body)))
    await client.answer()
    assert (sim.received[0].body is not None, sim.received[0].body_bytes) == (is_kept, size)


def _record(seq: int, body: bytes) -> Received:
    return Received(seq, "a", "POST", "/", {}, body, len(body), "m", 200, Usage(1, 1))


@pytest.mark.parametrize(("body", "kept"), [(b"", 10_000), (b"x" * 65536, 512)])
def test_bounded(body: bytes, kept: int) -> None:
    """Records are bounded in number and in the bytes of their bodies, the latest staying; totals count all."""
    journal = Journal()
    for seq in range(10_010):
        record = _record(seq, body)
        journal.add(record)
        journal.close(record, "clean", 1, says_usage=True)
    assert [record.seq for record in journal.received] == list(range(10_010 - kept, 10_010))
    assert journal.totals_as_json()["m"]["requests"] == 10_010
