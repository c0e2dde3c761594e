"""A running simulator, a raw client for what SDKs hide, and both event loops the simulator may run on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
import uvloop

from extproc.simulator import Simulator

_LONGEST_WAIT_S = 20


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:  # noqa: ARG001
    """Every async test here runs on both loops: tests use it on asyncio's, `python -m` on uvloop's."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Client(asyncio.Protocol):
    """Keeps every byte, and how the connection was lost: a StreamReader forgets bytes when a reset follows."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)
        self._changed.set()

    def post(self, path: str, payload: Any, headers: str = "") -> None:
        """Send a request; bytes go as they are, anything else as JSON."""
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        head = f"POST {path} HTTP/1.1\r\nhost: sim\r\n{headers}content-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)

    async def ended(self) -> Exception | None:
        """The error the connection was lost with; None for an orderly end."""
        return await asyncio.wait_for(self.lost, _LONGEST_WAIT_S)

    async def until(self, marker: bytes) -> bytes:
        """Everything received so far, once `marker` is in it."""
        searched = 0
        async with asyncio.timeout(_LONGEST_WAIT_S):
            while self.data.find(marker, searched) < 0:
                searched = max(0, len(self.data) - len(marker))
                assert not self.lost.done(), f"lost before {marker!r}: {bytes(self.data)!r}"
                self._changed.clear()
                await self._changed.wait()
        return bytes(self.data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer in one piece, taken out of `data`: status, headers, body."""
        head, _, _ = (await self.until(b"\r\n\r\n")).partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        size = len(head) + 4 + int(headers["content-length"])
        async with asyncio.timeout(_LONGEST_WAIT_S):
            while len(self.data) < size:
                self._changed.clear()
                await self._changed.wait()
        body = bytes(self.data[len(head) + 4 : size])
        del self.data[:size]
        return int(status_line.split(" ")[1]), headers, body


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A simulator on a port of its own."""
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def connect(sim: Simulator) -> AsyncIterator[Connect]:
    """Opens raw connections to the simulator."""
    clients: list[Client] = []

    async def _connect() -> Client:
        _, client = await asyncio.get_running_loop().create_connection(Client, sim.host, sim.port)
        clients.append(client)
        return client

    yield _connect
    for client in clients:
        client.transport.abort()


@pytest.fixture
async def client(connect: Connect) -> Client:
    """One raw connection."""
    return await connect()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Lets the loop run until something is so."""

    async def _until(is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(_LONGEST_WAIT_S):
            while not is_so():
                await asyncio.sleep(0.001)

    return _until
