"""Callers on HTTP/2 with many requests under way on each connection.

httpx is no such caller: who waits for an answer takes a connection's lock and reads until anything comes, and an answer
that is there waits behind all who have the lock before it. Of 100 streams that stop in their midst 22 began, and then
nothing was left that could come.
"""

import asyncio
from collections.abc import Mapping
from typing import Self, cast
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset


class Answer:
    """What comes back of one request. `begun` gives the status; `ended` gives the body, or what cut it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[int] = loop.create_future()
        self.ended: asyncio.Future[bytes] = loop.create_future()
        self._parts: list[bytes] = []

    def hear(self, event: Event) -> None:
        """Take what has come for this request."""
        match event:
            case ResponseReceived(headers=headers):
                self.begun.set_result(int(dict(headers)[b":status"]))
            case DataReceived(data=data):
                self._parts.append(data)
            case StreamEnded():
                self.ended.set_result(b"".join(self._parts))
            case StreamReset(error_code=code):
                self.fail(ConnectionResetError(f"reset with {code}"))

    def fail(self, error: Exception) -> None:
        """Nothing more will come."""
        for future in (self.begun, self.ended):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits hears of it; nobody need wait for both


class Caller(asyncio.Protocol):
    """One connection, HTTP/2 from the first byte. It is for small requests: none may fill a flow control window."""

    def __init__(self) -> None:
        self._http = H2Connection(H2Configuration(client_side=True))
        self._answers: dict[int, Answer] = {}

    @classmethod
    async def connect(cls, url: str) -> Self:
        """A caller of the server at `http://HOST:PORT`."""
        host, _, port = urlsplit(url).netloc.rpartition(":")
        _, caller = await asyncio.get_running_loop().create_connection(cls, host, int(port))
        return caller

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request."""
        number = self._http.get_next_available_stream_id()
        answer = self._answers[number] = Answer()
        pseudo = {":method": "POST", ":scheme": "http", ":authority": "localhost", ":path": path}
        self._http.send_headers(number, [*pseudo.items(), *headers.items()])
        self._http.send_data(number, body, end_stream=True)
        self._send()
        return answer

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast("asyncio.Transport", transport)
        self._http.initiate_connection()
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """No answer that is under way will end."""
        for answer in self._answers.values():
            answer.fail(exc or ConnectionError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        """Give each answer what is for it."""
        for event in self._http.receive_data(data):
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if answer := self._answers.get(getattr(event, "stream_id", None) or 0):
                answer.hear(event)
            if isinstance(event, StreamEnded | StreamReset):
                del self._answers[event.stream_id]
        self._send()

    def _send(self) -> None:
        self._transport.write(self._http.data_to_send())
