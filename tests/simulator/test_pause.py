"""Answers that wait where their script says, and what was produced until then, in the file that outlives a kill."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from extproc.simulator import Simulator, Usage
from tests.simulator.conftest import Client

if TYPE_CHECKING:
    Until = Callable[[Callable[[], bool]], Awaitable[None]]

CHAT = "/a/v1/chat/completions"
USAGE = {"input": 10, "output": 8, "reasoning": 2}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the simulator writes what it sent."""
    return tmp_path / "received.jsonl"


@pytest.fixture
async def sim(log: Path) -> AsyncIterator[Simulator]:
    """A simulator that writes it down."""
    async with Simulator(received_file=log) as simulator:
        yield simulator


def _ask(stream: bool, **script: Any) -> dict[str, Any]:
    text = f"hi [[sim {json.dumps({'chunks': 3, 'usage': USAGE, **script})}]]"
    return {
        "model": "m",
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        "stream_options": {"include_usage": True},
    }


async def _about(sim: Simulator, path: str, method: str = "GET") -> Any:
    _, other = await asyncio.get_running_loop().create_connection(Client, sim.host, sim.port)
    other.transport.write(f"{method} {path} HTTP/1.1\r\n\r\n".encode())
    _, _, body = await other.answer()
    other.transport.abort()
    return json.loads(body)


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize(
    ("stream", "pause_at", "seen", "unseen", "produced"),
    [
        (True, -1, b"", b"HTTP", None),
        (True, 0, b"\r\n\r\n", b"data:", (0, 0)),
        (True, 1, b'"w0"', b" w1", (4, 2)),
        (True, 3, b'" w2"', b"stop", (8, 2)),
        (True, 4, b"[DONE]", b"\r\n0\r\n", (8, 2)),
        (True, 99, b"[DONE]", b"\r\n0\r\n", (8, 2)),
        (False, -1, b"", b"HTTP", None),
        (False, 0, b"\r\n\r\n", b"{", (0, 0)),
        (False, 1, b"{", b"prompt_tokens", (5, 2)),
    ],
)
async def test_pauses_where_it_is_told(
    client: "Client",
    sim: Simulator,
    log: Path,
    until: "Until",
    stream: bool,
    pause_at: int,
    seen: bytes,
    unseen: bytes,
    produced: tuple[int, int] | None,
) -> None:
    """All up to that place is out and nothing behind it; the log says what that was; told to go on, it is whole."""
    client.post(CHAT, _ask(stream, pause_at=pause_at), "x-request-id: r1\r\n")
    await client.until(seen)
    await until(lambda: bool(sim.received))
    assert await _about(sim, "/_sim/paused") == {"paused": 1}
    assert unseen not in client.data
    assert sim.received[0].ended is None
    last = _lines(log)[-1] if log.read_text() else None
    output = produced and {"output": produced[0], "reasoning": produced[1]}
    expected = output and {"input": 10, "cached": 0, "cache_write": 0, **output}
    assert (last and last["produced"]) == expected
    assert await _about(sim, "/_sim/resume", "POST") == {"resumed": 1}
    await until(lambda: sim.received[0].ended == "clean")
    assert (await client.until(b"0\r\n\r\n" if stream else b'"prompt_tokens":10')).startswith(b"HTTP/1.1 200")
    assert (_lines(log)[-1]["request_id"], _lines(log)[-1]["produced"]["output"]) == ("r1", 8)
    assert await _about(sim, "/_sim/paused") == {"paused": 0}


async def test_one_piece_has_no_mark_of_its_end(client: "Client", sim: Simulator) -> None:
    """An answer in one piece that is to stop behind its last chunk does not stop."""
    client.post(CHAT, _ask(False, pause_at=99))
    await client.answer()
    assert (sim.received[0].ended, await _about(sim, "/_sim/paused")) == ("clean", {"paused": 0})


async def test_who_leaves_waits_no_more(client: "Client", sim: Simulator, log: Path, until: "Until") -> None:
    """A caller who leaves a waiting answer ends it; nothing more is produced for it."""
    client.post(CHAT, _ask(True, pause_at=2))
    await client.until(b" w1")
    client.transport.abort()
    await until(lambda: sim.received[0].ended == "client_gone")
    assert await _about(sim, "/_sim/resume", "POST") == {"resumed": 0}
    assert (_lines(log)[-1]["ended"], _lines(log)[-1]["produced"]["output"]) == ("client_gone", 6)


@pytest.mark.parametrize("script", [{"status": 500}, {"reset_after": -1}])
async def test_what_was_not_answered_with_2xx_produced_nothing(
    client: "Client", sim: Simulator, until: "Until", script: dict[str, Any]
) -> None:
    """Neither an error nor a connection that is reset before the headers has produced anything."""
    client.post(CHAT, _ask(True, **script))
    await until(lambda: bool(sim.received) and sim.received[0].ended is not None)
    assert sim.received[0].produced is None


@pytest.mark.parametrize(
    ("chunks", "of", "output", "reasoning"), [(0, 4, 0, 0), (1, 4, 4, 2), (3, 4, 8, 2), (4, 4, 10, 2), (0, 0, 0, 0)]
)
def test_usage_after_some_chunks(chunks: int, of: int, output: int, reasoning: int) -> None:
    """The input is used at once, thought comes with the first chunk, and the rest evenly, rounded down."""
    whole = Usage(input=7, output=10 if of else 0, reasoning=2 if of else 0)
    assert whole.after(chunks, of) == Usage(input=7, output=output, reasoning=reasoning)
