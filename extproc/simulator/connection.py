"""One HTTP/1.1 connection: requests parsed as their bytes come, answered one after the other."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools
from msgspec import Struct

from extproc.simulator.exchange import Exchange, Reply

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Request(Struct, frozen=True):
    """A request as received; header names in lower case, repeated ones joined by a comma."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


class Connection(asyncio.Protocol):
    """Feeds requests to `respond` and writes its replies in order, whatever the client pipelines."""

    def __init__(self, respond: Callable[[Request], Reply], connections: "set[Connection]") -> None:
        self._respond = respond
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._exchange: Exchange | None = None
        self._is_paused = False
        self._is_advancing = False
        self._is_reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client has left, or an answer ended the connection."""
        self._connections.discard(self)
        self._waiting.clear()
        if self._exchange:
            self._exchange.client_gone()

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._exchange:
                self._transport.write(_BAD_REQUEST)
            self._transport.close()
        self._advance()

    def pause_writing(self) -> None:
        """The client reads more slowly than answers are made."""
        self._is_paused = True
        if self._exchange:
            self._exchange.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_paused = False
        if self._exchange:
            self._exchange.resume()
        self._advance()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def on_message_begin(self) -> None:
        """Parser: a request begins."""
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Parser: a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Parser: the headers are complete; clients such as curl wait to be told to send a large body."""
        if self._headers.get("expect", "").lower() == "100-continue" and not self._exchange:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Parser: a piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Parser: the request is complete."""
        parser = self._parser
        target, body = self._target.decode("latin-1"), b"".join(self._body)
        method, keep_alive = parser.get_method().decode("latin-1"), parser.should_keep_alive()
        self._waiting.append(Request(method, target, self._headers, body, keep_alive))

    def _advance(self) -> None:
        """Answer what waits, as long as answers are written at once."""
        if self._is_advancing:
            return
        self._is_advancing = True
        while self._waiting and not self._exchange and not self._is_paused and not self._transport.is_closing():
            self._start(self._waiting.popleft())
        self._is_advancing = False
        self._read_on(not self._waiting)

    def _read_on(self, wanted: bool) -> None:
        """Read only while nothing waits, so that a client that pipelines without end is held up."""
        if wanted == self._is_reading or self._transport.is_closing():
            return
        self._is_reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _start(self, request: Request) -> None:
        reply = self._respond(request)
        on_written = self._next if request.keep_alive else self._transport.close
        self._exchange = Exchange(self._transport, reply, on_written)
        self._exchange.start()

    def _next(self) -> None:
        self._exchange = None
        self._advance()
