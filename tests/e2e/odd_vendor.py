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

TELLING = {
    "x-ratelimit-limit-requests": "99999",
    "x-ratelimit-limit": "99999",
    "openai-organization": "org-of-the-operator",
    "openai-project": "proj-of-the-operator",
    "openai-processing-ms": "99",
    "anthropic-organization-id": "org-of-the-operator",
    "anthropic-ratelimit-tokens-remaining": "99999",
    "x-amzn-requestid": "of-the-vendor",
    "x-ms-region": "of-the-vendor",
    "x-envoy-upstream-service-time": "99",
    "cf-ray": "of-the-vendor",
    "set-cookie": "__cf_bm=of-the-vendor",
    "via": "1.1 of-the-vendor",
    "alt-svc": 'h3=":99999"',
    "server": "of-the-vendor",
    "strict-transport-security": "max-age=99999",
    "x-request-id": "req-of-the-vendor",
    "request-id": "req-of-the-vendor",
    "x-tollgate-cost": "99999",
}
"""What its answers say of the operator's account with it, and of itself."""


class OddVendor(ThreadingHTTPServer):
    """The first segment of the path says what it does. `bodies` are those received, by that segment."""

    daemon_threads = True

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), _Handler)
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
        for name, value in TELLING.items():
            self.send_header(name, value)
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
