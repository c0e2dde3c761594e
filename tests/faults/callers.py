"""Many callers at once, each on a connection of its own, so that any of them can leave as it likes."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httptools

from extproc.names import PUBLIC_REQUEST_ID_HEADER

T = TypeVar("T")

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST at once, and drops what is still to be sent."""


class Caller(asyncio.Protocol):
    """One request and what came of it. `status` is 0 until the headers are there.

    `whole` when the answer reached its own end, `over` when there is nothing more to come.
    """

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.status = 0
        self.request_id = ""
        self.body = b""
        self.whole = False
        self.over = False
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The other side has left, or this one."""
        self.over = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header."""
        if name.decode().lower() == PUBLIC_REQUEST_ID_HEADER:
            self.request_id = value.decode()

    def on_headers_complete(self) -> None:
        """Parser: the headers are complete."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Parser: a piece of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Parser: the answer is whole."""
        self.whole = self.over = True

    def leave(self, reset: bool = False) -> None:
        """Hang up: by FIN, or by RST."""
        if self._transport is None:
            return
        if reset:
            connection = cast("socket.socket", self._transport.get_extra_info("socket"))
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.close()


class Callers:
    """A thread in which all callers live."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, port: int, requests: Iterable[bytes]) -> list[Caller]:
        """Send all of these at once; whoever cannot connect is over."""
        callers = [Caller(request) for request in requests]
        self._run(self._connect(port, callers))
        return callers

    def leave(self, callers: Iterable[Caller], reset: bool = False) -> None:
        """All of these hang up."""

        async def leave() -> None:
            for caller in callers:
                caller.leave(reset)

        self._run(leave())

    async def _connect(self, port: int, callers: list[Caller]) -> None:
        async def connect(caller: Caller) -> None:
            try:
                await self._loop.create_connection(lambda: caller, "127.0.0.1", port)
            except OSError:
                caller.over = True

        await asyncio.gather(*map(connect, callers))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
