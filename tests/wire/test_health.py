"""Asking a worker whether it serves."""

import asyncio
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from extproc.wire import health
from extproc.wire.service import Service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """What a worker answers with, at its socket; nothing but its health is asked for."""
    made = Service(cast("Any", None), cast("Any", None), cast("Any", None), lambda: 0)
    server = grpc.aio.server()
    made.register(server)
    server.add_insecure_port(f"unix:{tmp_path}/worker.sock")
    await server.start()
    yield made
    await server.stop(None)


async def asked(folder: Path) -> bool:
    """What one who asks in a thread is told."""
    return await asyncio.to_thread(health.serves, folder / "worker.sock")


async def test_a_worker_serves_until_it_drains(service: Service, tmp_path: Path) -> None:
    """As Envoy is told."""
    assert await asked(tmp_path)
    service.draining = True
    assert not await asked(tmp_path)


def test_nobody_there(tmp_path: Path) -> None:
    """No socket, or one that nobody listens at any more: it does not serve."""
    assert not health.serves(tmp_path / "worker.sock")
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_insecure_port(f"unix:{tmp_path}/worker.sock")
    assert not health.serves(tmp_path / "worker.sock")


def test_one_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing: after `ANSWER_SECONDS` it counts as not serving."""
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "worker.sock"))
        silent.listen()
        assert not health.serves(tmp_path / "worker.sock")
