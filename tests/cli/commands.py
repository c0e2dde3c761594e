"""Runs `tollgate` in this process, straight on Redis or through the admin API."""

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import grpc
import pytest

from extproc import __main__
from extproc.admin.authenticate import Authentication
from extproc.admin.parts import Parts
from extproc.admin.server import Server
from extproc.admin.service import Admin
from extproc.clock import now_ms
from extproc.config.load import load
from extproc.index.index import Index
from extproc.settings import load_pepper, make_settings
from extproc.store.connection import Connection

CONFIG = Path(__file__).parents[2] / "config"


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for scripts."""
        assert self.out, self.err
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """What it printed for a person, word by word."""
        return [line.split() for line in self.out.splitlines()]


class Tollgate:
    """The command line of one gateway."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture, self._patch = capture, patch

    def __call__(self, *arguments: str | Path) -> Said:
        """Run `tollgate` with these arguments."""
        self._patch.setattr(sys, "argv", ["tollgate", *map(str, arguments)])
        self._patch.setattr(sys, "stdin", io.StringIO())
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        said = self._capture.readouterr()
        code = ended.value.code
        message = f"{code}\n" if isinstance(code, str) else ""
        result = Said(1 if message else int(code or 0), said.out, said.err + message)
        assert "Traceback" not in result.out + result.err
        return result

    def json(self, *arguments: str | Path) -> Any:
        """What it prints for scripts, when all is well."""
        said = self(*arguments, "--json")
        assert said.code == 0, said.err
        return said.json

    def key(self, owner: str, *more: str) -> str:
        """The id of a new key."""
        key_id: str = self.json("keys", "create", "--owner", owner, *more)["key"]["key_id"]
        return key_id

    def remotely(self, socket: Path, *scopes: str, person: str = "") -> None:
        """From now on ask the service at this socket, with a new token of these scopes."""
        scope = [word for each in scopes for word in ("--scope", each)]
        made = self.json("tokens", "create", "--name", "test", *scope, "--person", person)
        self._patch.setenv("TOLLGATE_ADMIN_URL", f"unix:{socket}")
        self._patch.setenv("TOLLGATE_ADMIN_TOKEN", made["plaintext"])
        for name in ("TOLLGATE_REDIS", "TOLLGATE_DATA", "TOLLGATE_CONFIG"):
            self._patch.delenv(name)


def at_a_terminal(*arguments: str, answer: str) -> tuple[int, str]:
    """What the command exits with and shows to a person who types this, in a process of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "extproc", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True) as process:
        os.close(theirs)
        os.write(ours, answer.encode())
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    return process.returncode, shown.decode()


@contextmanager
def service(redis_url: str, data: Path, socket: Path) -> Iterator[None]:
    """The admin service over gRPC, in a thread of its own."""
    loop, ready = asyncio.new_event_loop(), Future[asyncio.Event]()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_serve(redis_url, data, socket, ready)))
    thread.start()
    try:
        ready.result()
        yield
    finally:
        loop.call_soon_threadsafe(ready.result().set)
        thread.join()
        loop.close()


async def _serve(redis_url: str, data: Path, socket: Path, ready: "Future[asyncio.Event]") -> None:
    settings = make_settings(CONFIG, data, redis_url)
    catalog = load(CONFIG, os.environ, require_credentials=False).catalog
    async with aclosing(Connection(redis_url)) as connection:
        parts = Parts.over(connection, lambda: catalog, load_pepper(settings), now_ms, UTC)
        server = grpc.aio.server()
        index = Index(data / "index.sqlite", UTC)
        Server(Admin(parts, index), Authentication(parts.tokens, parts.pepper, now_ms, False)).register(server)
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        stop = asyncio.Event()
        ready.set_result(stop)
        await stop.wait()
        await server.stop(None)
        index.close()
