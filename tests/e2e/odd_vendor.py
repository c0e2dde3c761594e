"""A vendor for what the simulator does not do: hang up before it answers, answer with nothing or with the prompt.

The prompt may also be the server-sent events of a stream.
"""

import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = json.dumps(
    {
        "id": "chatcmpl-odd",
        "object": "chat.completion",
        "created": 0,
        "model": "odd",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "odd"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
).encode()


class OddVendor(ThreadingHTTPServer):
    """The first segment of the path says what it does. `bodies` are those received, by that segment."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, list[bytes]] = {}

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OddVendor

    def do_POST(self) -> None:
        does = self.path.split("/")[1]
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.setdefault(does, []).append(body)
        match does:
            case "hang-up":
                self.connection.shutdown(socket.SHUT_WR)
                self.close_connection = True
            case "empty":
                self._answer(200, b"")
            case "repeat":
                self._answer(200, _prompt(json.loads(body)).encode())
            case "events":
                self._answer(200, _prompt(json.loads(body)).encode(), "text/event-stream")
            case "busy":
                self._answer(429, b'{"error": {"message": "busy"}}')
            case _:
                self._answer(200, ANSWER)

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-ratelimit-limit-requests", "99999")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def _prompt(asked: dict[str, Any]) -> str:
    """The one text of a request, in whichever dialect it is."""
    if "input" in asked:
        return str(asked["input"])
    if "messages" in asked:
        return str(asked["messages"][0]["content"])
    return str(asked["contents"][0]["parts"][0]["text"])
