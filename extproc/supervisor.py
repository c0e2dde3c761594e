"""Child processes: started, watched, started again when they die, and ended in order.

A child dies with its parent, however the parent ends (`PR_SET_PDEATHSIG`), so nothing is left running.
"""

import asyncio
import contextlib
import ctypes
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import structlog

from extproc import parent_metrics
from extproc.errors import TollgateError

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

QUICK_DEATHS = 5
QUICK_SECONDS = 10.0
LATER_SECONDS = 30.0
"""When a child that is not vital and died too often is started again."""

STOP_SECONDS = 15.0
"""A worker that drains takes up to 12 while Redis hangs."""


class ChildFailed(TollgateError):
    """A child could not be kept running; the message ends with what it said last."""


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One process to keep running. Its output goes to `log_file` or the parent's own, its id at death to `on_death`.

    Without a `vital` one nothing works; any other is only started later when it dies too often.
    """

    name: str
    command: Sequence[str]
    log_file: Path | None
    cwd: Path
    environment: Mapping[str, str] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    on_death: Callable[[int], None] = lambda _: None
    vital: bool = True
    process: asyncio.subprocess.Process | None = None
    _deaths: list[float] = field(default_factory=list)
    _stopping: bool = False

    async def start(self) -> None:
        """Start it. Raises `ChildFailed` when its program cannot be run."""
        with self._output() as output:
            try:
                self.process = await asyncio.create_subprocess_exec(
                    *self.command,
                    cwd=self.cwd,
                    env=self.environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C is for the parent, which ends its children in order
                    preexec_fn=_die_with_parent,
                )
            except OSError as error:
                raise ChildFailed(f"{self.name} cannot be started: {error}") from error

    async def keep_running(self) -> None:
        """Start it again whenever it dies. Raises `ChildFailed` when a vital one dies too often in a short time."""
        while not self._stopping:
            assert self.process is not None
            code = await self.process.wait()
            if self._stopping:
                return
            self._deaths = [*self._deaths[-QUICK_DEATHS + 1 :], time.monotonic()]
            if len(self._deaths) == QUICK_DEATHS and self._deaths[-1] - self._deaths[0] < QUICK_SECONDS:
                if self.vital:
                    raise ChildFailed(f"{self.name} keeps ending (code {code}). Its last words:\n{self.last_words()}")
                log.error("child_keeps_ending", child=self.name, code=code, last_words=self.last_words())
                await asyncio.sleep(LATER_SECONDS)
            log.warning("child_restarted", child=self.name, code=code)
            self.on_death(self.process.pid)
            parent_metrics.RESTARTS.labels(self.name).inc()
            await self.start()

    def let_end(self) -> None:
        """From now on an end is meant."""
        self._stopping = True

    async def stop(self) -> None:
        """Ask it to end, and insist after `STOP_SECONDS`."""
        self.let_end()
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(self.stop_signal)
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        text = self.log_file.read_text(errors="replace") if self.log_file and self.log_file.exists() else ""
        return "\n".join("    " + line for line in text.splitlines()[-lines:])

    def _output(self) -> contextlib.AbstractContextManager[BinaryIO | None]:
        if self.log_file is None:
            return contextlib.nullcontext()
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        return self.log_file.open("ab")


async def until(
    ready: Callable[[], Awaitable[bool]], what: str, watched: Sequence[Child], timeout_seconds: float = 30.0
) -> None:
    """Wait until `ready`. Raises `ChildFailed` when a vital child has ended, or when it takes too long."""
    deadline = time.monotonic() + timeout_seconds
    while not await ready():
        for child in watched:
            if child.vital and child.process and child.process.returncode is not None:
                raise ChildFailed(f"{child.name} ended at once. Its last words:\n{child.last_words()}")
        if time.monotonic() > deadline:
            words = "\n".join(child.last_words() for child in watched)
            raise ChildFailed(f"{what} was not ready after {timeout_seconds:.0f} s.\n{words}")
        await asyncio.sleep(0.05)
