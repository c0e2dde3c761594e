"""Letting an Envoy go: how long is waited for the requests that it has."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from extproc.drain import drain


@contextmanager
def admin(folder: Path, active: list[int]) -> Iterator[tuple[Path, list[str]]]:
    """An admin interface that tells these numbers of requests, one at each look, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            said = f"http.edge.downstream_rq_active: {active.pop(0)}\n" if self.command == "GET" else "OK\n"
            self.send_response(200)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def address_string(self) -> str:
            return "envoy"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    path = folder / "admin.sock"
    with ThreadingUnixStreamServer(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path, asked
        server.shutdown()


@pytest.mark.parametrize(
    ("active", "at_most", "ended", "left"),
    [
        ([0], 60.0, True, []),
        ([3, 1, 1, 0], 60.0, True, []),
        ([2, 2], -1.0, False, [2]),
        ([0, 5], 60.0, True, [5]),
    ],
    ids=["none", "some", "too many for too long", "none, and nobody looks again"],
)
def test_waits_for_the_last_request(
    tmp_path: Path, active: list[int], at_most: float, ended: bool, left: list[int]
) -> None:
    """Callers are told to go elsewhere; then it looks until there is no request, or the time is over."""
    with admin(tmp_path, active) as (path, asked):
        assert asyncio.run(drain(path, at_most=at_most)) is ended
    assert asked[0] == "POST /drain_listeners?graceful&skip_exit"
    assert active == left


def test_waits_for_callers_that_are_yet_to_come(tmp_path: Path) -> None:
    """Without a request it still stays for as long as callers may be sent here, and then looks."""
    with admin(tmp_path, [0]) as (path, asked):
        assert asyncio.run(drain(path, at_least=0.3))
    assert len(asked) == 2


def test_an_envoy_that_has_gone_has_no_requests(tmp_path: Path) -> None:
    """Nobody answers: there is nothing to wait for."""
    assert asyncio.run(drain(tmp_path / "admin.sock", at_least=60))
