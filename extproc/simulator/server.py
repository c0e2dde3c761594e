"""The simulator as a server: listens, answers, remembers."""

import asyncio
from collections import deque
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from extproc.simulator import routes
from extproc.simulator.answer import Headers, whole
from extproc.simulator.connection import Connection, Request
from extproc.simulator.exchange import Reply
from extproc.simulator.gate import Gate
from extproc.simulator.play import play
from extproc.simulator.received import LARGEST_BODY_KEPT_BYTES, Journal, Received
from extproc.simulator.script import PLAIN

_BACKLOG = 4096
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Simulator:
    """A vendor to talk to, on loopback. With port 0 the system picks one; `port` tells which, once started.

    `received_file` gets a line of JSON, without bodies and headers, at every write of an answer and at its end. So it
    tells what was sent also when this process is killed: the last line of a `process` and `seq` counts.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, received_file: Path | None = None) -> None:
        self.host = host
        self.port = port
        self._log = received_file.open("ab", buffering=0) if received_file else None
        self._journal = Journal(self._log)
        self._connections: set[Connection] = set()
        self._gate = Gate()
        self._seq = 0

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://{self.host}:{self.port}"

    @property
    def received(self) -> deque[Received]:
        """What it received, oldest first; only the latest are kept."""
        return self._journal.received

    @property
    def totals(self) -> dict[str, dict[str, int]]:
        """What `GET /_sim/totals` answers."""
        return self._journal.totals_as_json()

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self.host, self.port, backlog=_BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._server.wait_closed()
        if self._log:
            self._log.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _connection(self) -> Connection:
        return Connection(self._respond, self._connections)

    def _respond(self, request: Request) -> Reply:
        if request.target.startswith("/_sim/"):
            return self._about_itself(request)
        self._seq += 1
        route = routes.find(request.method, request.target)
        played = play(self._seq, route, request.body)
        record = _record(self._seq, route.vendor, request, played.model, played.answer.status)
        record.usage = played.usage
        self._journal.add(record)
        echo = _echo(request) if played.script.echo_headers else ()
        return Reply(
            head=_head(
                played.answer.status,
                (*played.answer.headers, *echo),
                played.answer.length,
                request.keep_alive,
            ),
            answer=played.answer,
            script=played.script,
            finish=lambda ended, chunks: self._journal.close(record, ended, chunks, played.says_usage),
            wrote=lambda chunks: self._journal.wrote(record, chunks, played.answer.count),
            gate=self._gate,
        )

    def _about_itself(self, request: Request) -> Reply:
        status, payload = self._facts(request)
        answer = whole(PLAIN, payload, status=status)
        head = _head(status, answer.headers, answer.length, request.keep_alive)
        return Reply(head, answer, PLAIN, finish=lambda _ended, _chunks: None)

    def _facts(self, request: Request) -> tuple[int, Any]:
        path, _, query = request.target.partition("?")
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        match request.method, path:
            case "GET", "/_sim/received":
                since = asked.get("since", "0")
                if not since.isdecimal():
                    return 400, {"error": "since is not a number"}
                return 200, self._journal.select(asked.get("vendor"), int(since))
            case "GET", "/_sim/totals":
                return 200, self.totals
            case "GET", "/_sim/paused":
                return 200, {"paused": len(self._gate)}
            case "POST", "/_sim/resume":
                return 200, {"resumed": self._gate.open()}
            case "DELETE", "/_sim/received":
                self._journal.clear()
                return 200, {}
        return 404, {"error": "no such path"}


def _record(seq: int, vendor: str, request: Request, model: str, status: int) -> Received:
    size = len(request.body)
    return Received(
        seq=seq,
        vendor=vendor,
        method=request.method,
        path=request.target,
        headers=request.headers,
        body=request.body if size <= LARGEST_BODY_KEPT_BYTES else None,
        body_bytes=size,
        model=model,
        status=status,
        usage=None,
        request_id=request.headers.get("x-request-id", ""),
    )


def _echo(request: Request) -> Headers:
    return tuple((f"x-echo-{name}", value) for name, value in request.headers.items())


def _head(status: int, headers: Headers, length: int | None, keep_alive: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS.get(status, '')}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
