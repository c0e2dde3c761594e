"""A vendor that speaks HTTP/2, to which all of a request arrives: its headers, and its trailers."""

import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events

from extproc.certificate import self_signed
from extproc.names import TLS_CERTIFICATE, TLS_KEY
from tests.e2e.odd_vendor import ANSWER


class H2Vendor:
    """Listens on loopback at `port`, over TLS. `received` is the names of all headers and trailers that came."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        certificate, key = folder / TLS_CERTIFICATE, folder / TLS_KEY
        for path, content in zip((certificate, key), self_signed("localhost"), strict=True):
            path.write_bytes(content)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._context.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with self._context.wrap_socket(accepted, server_side=True) as wire:
                self._answer(wire)

    def _answer(self, wire: socket.socket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        wire.sendall(connection.data_to_send())
        while read := wire.recv(65536):
            for event in connection.receive_data(read):
                self._heard(connection, event)
            wire.sendall(connection.data_to_send())

    def _heard(self, connection: h2.connection.H2Connection, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived | h2.events.TrailersReceived):
            self.received += [str(name) for name, _ in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            headers = [(":status", "200"), ("content-type", "application/json"), ("content-length", str(len(ANSWER)))]
            connection.send_headers(event.stream_id, headers)
            connection.send_data(event.stream_id, ANSWER, end_stream=True)
