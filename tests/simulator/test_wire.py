"""Bytes on the connection: split and pipelined requests, broken-off answers, slow and leaving clients."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.simulator import Simulator, routes
from extproc.simulator.answer import whole
from extproc.simulator.connection import Connection, Request
from extproc.simulator.exchange import Reply
from extproc.simulator.play import play
from extproc.simulator.script import PLAIN

if TYPE_CHECKING:
    from extproc.simulator.received import Ended
    from tests.simulator.conftest import Client, Connect

CHAT = "/a/v1/chat/completions"
Until = Callable[[Callable[[], bool]], Awaitable[None]]

_REQUESTS = (
    b"POST /a/v1/messages?x=1 HTTP/1.1\r\nHost: a\r\nX-Many: 1\r\nx-many: 2\r\nContent-Length: 4\r\n\r\nbody"
    b"GET /b HTTP/1.1\r\n\r\n"
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
)


def _ask(script: dict[str, Any], stream: bool) -> dict[str, Any]:
    content = f"hi [[sim {json.dumps(script)}]]"
    return {"model": "m", "messages": [{"role": "user", "content": content}], "stream": stream}


class _Written(asyncio.Transport):
    """Keeps what is written, and whether it is being read."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.writes = 0
        self.is_read = True

    def write(self, data: Any) -> None:
        self.data += data
        self.writes += 1

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return False


@given(st.lists(st.integers(0, len(_REQUESTS)), max_size=8))
def test_requests_cut_anywhere(cuts: list[int]) -> None:
    """Wherever the bytes of pipelined requests are cut, the same requests are answered, in order."""
    seen: list[Request] = []

    def respond(request: Request) -> Reply:
        seen.append(request)
        return Reply(b"%d " % len(seen), whole(PLAIN, {}), PLAIN, lambda _ended, _chunks: None)

    async def feed() -> bytes:
        connection, transport = Connection(respond, set()), _Written()
        connection.connection_made(transport)
        edges = [0, *sorted(cuts), len(_REQUESTS)]
        for start, stop in pairwise(edges):
            connection.data_received(_REQUESTS[start:stop])
        return transport.data

    assert asyncio.run(feed()) == b"1 {}2 {}3 {}"
    assert seen == [
        Request("POST", "/a/v1/messages?x=1", {"host": "a", "x-many": "1, 2", "content-length": "4"}, b"body", True),
        Request("GET", "/b", {}, b"", True),
        Request("POST", "/c", {"transfer-encoding": "chunked"}, b"abcde", True),
    ]


async def test_byte_by_byte(client: "Client", sim: Simulator) -> None:
    """A request that comes in single bytes is answered as any other."""
    body = json.dumps(_ask({"chunks": 2}, stream=False)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    for byte in head + body:
        client.transport.write(bytes([byte]))
        await asyncio.sleep(0)
    status, _, answer = await client.answer()
    assert (status, json.loads(answer)["choices"][0]["message"]["content"]) == (200, "w0 w1")
    assert sim.received[0].body == body


async def test_pipelined(client: "Client", sim: Simulator) -> None:
    """Pipelined requests are answered in order on one connection, slow ones holding up what follows."""
    for number in range(1, 6):
        client.post(CHAT, _ask({"chunks": number, "first_delay_ms": number % 2}, stream=False))
    answers = [json.loads((await client.answer())[2]) for _ in range(5)]
    assert [answer["usage"]["completion_tokens"] for answer in answers] == [1, 2, 3, 4, 5]
    assert [record.ended for record in sim.received] == ["clean"] * 5


async def test_many_pipelined(client: "Client", sim: Simulator) -> None:
    """A client that pipelines without end is read on as its answers go out."""
    for _ in range(500):
        client.post(CHAT, _ask({"delay_ms": 0.01, "chunks": 1, "word_bytes": 2000}, stream=False))
    for _ in range(500):
        assert (await client.answer())[0] == 200
    assert [record.seq for record in sim.received] == list(range(1, 501))


@pytest.mark.parametrize("stream", [False, True])
async def test_connection_close(client: "Client", stream: bool) -> None:
    """After `connection: close` the answer is whole, says so, and the connection ends in order."""
    client.post(CHAT, _ask({}, stream), "connection: close\r\n")
    assert await client.ended() is None
    assert b"connection: close" in client.data
    assert client.data.endswith(b"0\r\n\r\n" if stream else b"}")


async def test_expect_continue(client: "Client") -> None:
    """A client that waits for it is told to send its body."""
    body = json.dumps(_ask({}, stream=False)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
    client.transport.write(head.encode())
    assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.data.clear()
    client.transport.write(body)
    assert (await client.answer())[0] == 200


async def test_not_http(client: "Client") -> None:
    """What is no HTTP is answered 400 and the connection closed."""
    client.transport.write(b"hello\r\n\r\n")
    assert await client.ended() is None
    assert client.data.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("key", "after", "words"),
    [
        ("reset_after", -1, []),
        ("reset_after", 0, []),
        ("reset_after", 2, ["w0", "w1"]),
        ("reset_after", 99, ["w0", "w1", "w2"]),
        ("close_after", 0, []),
        ("close_after", 2, ["w0", "w1"]),
        ("close_after", 99, ["w0", "w1", "w2"]),
    ],
)
async def test_broken_stream(client: "Client", sim: Simulator, key: str, after: int, words: list[str]) -> None:
    """A stream is broken off after so many words, at the most all of them, without its end: by RST or by FIN."""
    client.post(CHAT, _ask({key: after, "chunks": 3}, stream=True))
    lost = await client.ended()
    assert isinstance(lost, ConnectionResetError) if key == "reset_after" else lost is None
    assert client.data.startswith(b"HTTP/1.1 200 OK") is (after >= 0)
    assert [word for word in ("w0", "w1", "w2") if word.encode() in client.data] == words
    assert (b"chat.completion.chunk" in client.data) is (after > 0)
    assert b"[DONE]" not in client.data
    assert not client.data.endswith(b"0\r\n\r\n")
    ended = "reset" if key == "reset_after" else "closed"
    assert (sim.received[0].ended, sim.received[0].chunks, sim.totals) == (ended, len(words), {})


@pytest.mark.parametrize("key", ["reset_after", "close_after"])
@pytest.mark.parametrize("after", [0, 1, 5])
async def test_broken_whole(client: "Client", sim: Simulator, key: str, after: int) -> None:
    """An answer in one piece breaks off after its headers, or half-way."""
    client.post(CHAT, _ask({key: after}, stream=False))
    lost = await client.ended()
    assert isinstance(lost, ConnectionResetError) if key == "reset_after" else lost is None
    head, _, body = bytes(client.data).partition(b"\r\n\r\n")
    length = int(head.rpartition(b"content-length: ")[2])
    assert len(body) == (length // 2 if after else 0)
    assert (sim.received[0].ended, sim.totals) == ("reset" if key == "reset_after" else "closed", {})


async def test_client_gone(client: "Client", sim: Simulator, until: Until) -> None:
    """A client that leaves mid-stream is noticed, with what was written until then."""
    client.post(CHAT, _ask({"chunks": 10**6, "delay_ms": 1}, stream=True))
    await client.until(b"w2")
    client.transport.abort()
    await until(lambda: sim.received[0].ended is not None)
    assert sim.received[0].ended == "client_gone"
    assert 3 <= sim.received[0].chunks < 10**6


async def test_slow_client(connect: "Connect", sim: Simulator, until: Until) -> None:
    """While a client does not read, its stream waits; the same stream is meanwhile served to another."""
    slow, other = await connect(), await connect()
    slow.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    slow.post(CHAT, _ask({"chunks": 20_000, "word_bytes": 2000}, stream=True))
    await slow.until(b"w2")
    slow.transport.pause_reading()
    other.post(CHAT, _ask({"chunks": 20_000, "word_bytes": 2000}, stream=True))
    await other.until(b"[DONE]")
    slow.transport.abort()
    await until(lambda: sim.received[0].ended is not None)
    assert (sim.received[0].ended, sim.received[0].chunks < 20_000) == ("client_gone", True)


def _streaming(transport: _Written, script: str, ended: "list[Ended]") -> Connection:
    """A connection that has just begun to answer with a stream of this script."""
    messages = [{"role": "user", "content": f"[[sim {script}]]"}]
    body = json.dumps({"model": "m", "stream": True, "messages": messages})
    played = play(1, routes.find("POST", CHAT), body.encode())
    reply = Reply(b"head", played.answer, played.script, lambda how, _chunks: ended.append(how))
    connection = Connection(lambda _request: reply, set())
    connection.connection_made(transport)
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    return connection


@pytest.mark.parametrize("delay_ms", [0, 0.01])
async def test_pause(until: Until, delay_ms: float) -> None:
    """Between the transport's pause and resume nothing is written, and after it what was missing."""
    script = f'{{"chunks": 100, "word_bytes": 40000, "delay_ms": {delay_ms}}}'
    ended: list[Ended] = []
    paused, other = _Written(), _Written()
    connection = _streaming(paused, script, ended)
    connection.pause_writing()
    written = paused.data
    _streaming(other, script, ended)
    await until(lambda: len(ended) == 1)
    assert paused.data == written
    connection.resume_writing()
    await until(lambda: len(ended) == 2)
    assert paused.data == other.data


async def test_nothing_after_the_client_has_gone(until: Until) -> None:
    """A stream whose connection is lost ends once, and writes nothing more."""
    script = '{"chunks": 50, "delay_ms": 0.01}'
    ended: list[Ended] = []
    lost, other = _Written(), _Written()
    connection = _streaming(lost, script, ended)
    connection.connection_lost(None)
    written = lost.data
    _streaming(other, script, ended)
    await until(lambda: len(ended) == 2)
    assert (ended, lost.data) == (["client_gone", "clean"], written)


@pytest.mark.parametrize(("delay_ms", "fewest", "most"), [(0.01, 1000, 1010), (0, 1, 10)])
async def test_writes(until: Until, delay_ms: float, fewest: int, most: int) -> None:
    """With a delay each chunk is a write of its own; without one, a thousand chunks are a few large writes."""
    ended: list[Ended] = []
    transport = _Written()
    _streaming(transport, f'{{"chunks": 1000, "delay_ms": {delay_ms}}}', ended)
    await until(lambda: ended == ["clean"])
    assert fewest <= transport.writes <= most


async def test_reading_waits_for_answers(until: Until) -> None:
    """While pipelined requests wait for their turn no more is read."""
    ended: list[Ended] = []
    transport = _Written()
    connection = _streaming(transport, '{"chunks": 3, "delay_ms": 0.01}', ended)
    assert transport.is_read
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert not transport.is_read
    await until(lambda: len(ended) == 2)
    assert transport.is_read


@pytest.mark.parametrize("delay_ms", [0, 0.01])
async def test_large_stream_is_whole(client: "Client", sim: Simulator, delay_ms: float) -> None:
    """A stream of many times the buffers' size arrives whole at a client that stops reading now and then."""
    client.post(CHAT, _ask({"chunks": 300, "word_bytes": 30_000, "delay_ms": delay_ms}, stream=True))
    for word in (1, 100, 200, 299):
        await client.until(b" w%dx" % word)
        client.transport.pause_reading()
        await asyncio.sleep(0)
        client.transport.resume_reading()
    data = await client.until(b"[DONE]\n\n\r\n0\r\n\r\n")
    assert data.count(b"x" * 29_000) == 300
    assert (sim.received[0].chunks, sim.received[0].ended) == (300, "clean")
