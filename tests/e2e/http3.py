"""A caller that speaks HTTP/3: one request on one connection."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class _Caller(QuicConnectionProtocol):
    async def ask(self, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        """Send the request and read the answer to its end. Raises `ConnectionError` if the connection ends first."""
        self.http = H3Connection(self._quic)
        self.head: dict[str, str] = {}
        self.body = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(stream, headers, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        await self.ended
        return int(self.head.pop(":status")), self.head, self.body

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated) and not self.ended.done():
            self.ended.set_exception(ConnectionError(event.reason_phrase))
        for received in self.http.handle_event(event) if hasattr(self, "http") else ():
            if isinstance(received, HeadersReceived):
                self.head |= {name.decode(): value.decode() for name, value in received.headers}
            elif isinstance(received, DataReceived):
                self.body += received.data
            if isinstance(received, HeadersReceived | DataReceived) and received.stream_ended:
                self.ended.set_result(None)


def request(
    port: int, path: str, ca: Path, headers: Mapping[str, str], body: bytes = b"", method: str = "POST"
) -> Answer:
    """What the gateway at this port of loopback answers, its certificate checked against `ca`."""
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_REQUIRED)
    configuration.load_verify_locations(cafile=str(ca))
    pseudo = {":method": method, ":scheme": "https", ":authority": f"localhost:{port}", ":path": path}
    sent = [(name.encode(), value.encode()) for name, value in {**pseudo, **headers}.items()]

    async def asked() -> Answer:
        connection = connect("localhost", port, configuration=configuration, create_protocol=_Caller)
        async with asyncio.timeout(20), connection as caller:
            assert isinstance(caller, _Caller)
            return await caller.ask(sent, body)

    return asyncio.run(asked())
