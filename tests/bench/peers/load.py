"""The load: what every gateway is asked, and wrk asking it."""

import os
import selectors
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.bench.cpu import cpu_ns
from tests.bench.load import UNARY, Shape, Timing

SCRIPT: Final = Path(__file__).with_name("post.lua")
PATIENCE_SECONDS: Final = 60
"""For the last answers of a window; wrk itself would end after twice that."""

STREAM: Final = Shape("stream of 100 chunks", 100)
LARGE_BYTES: Final = 200_000
FILLER: Final = "All work and no play makes a dull gateway. "


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of request: an answer in this shape to a prompt of about so many bytes, 0 for a short one."""

    shape: Shape
    prompt_bytes: int = 0

    @property
    def name(self) -> str:
        """As tables say it."""
        return f"{self.shape.name}, {f'{self.prompt_bytes // 1000} KB' if self.prompt_bytes else 'small'} prompt"

    def body(self, model: str) -> bytes:
        """The request in compact JSON, as the SDKs send it; a large prompt is large by its system message."""
        asked: dict[str, Any] = msgspec.json.decode(self.shape.body(model))
        if self.prompt_bytes:
            text = FILLER * (self.prompt_bytes // len(FILLER))
            asked["messages"].insert(0, {"role": "system", "content": text})
        return msgspec.json.encode(asked)


ASKS: Final = (Ask(UNARY), Ask(UNARY, LARGE_BYTES), Ask(STREAM), Ask(STREAM, LARGE_BYTES))


def post(url: str, headers: Mapping[str, str], body: Path, connections: int, seconds: float) -> tuple[Timing, float]:
    """Ask for so many seconds and wait for the last answers; with it the CPU time wrk took, in µs.

    Raises `RuntimeError` when they do not come.
    """
    asked = {
        "BENCH_BODY": str(body),
        "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
        "BENCH_CONNECTIONS": str(connections),
        "BENCH_SECONDS": str(seconds),
    }
    limit = f"-d{2 * PATIENCE_SECONDS}s"
    command = ["wrk", "-t1", f"-c{connections}", limit, f"--timeout={PATIENCE_SECONDS}s", "-s", str(SCRIPT), url]
    with subprocess.Popen(command, env={**os.environ, **asked}, stdout=subprocess.PIPE) as wrk:
        try:
            _wait_until_idle(wrk, seconds)
            used_us = cpu_ns(wrk.pid) / 1000
        finally:
            wrk.send_signal(signal.SIGINT)
        assert wrk.stdout is not None
        said = wrk.stdout.read()
    return msgspec.json.decode(said.splitlines()[-1], type=Timing), used_us


def _wait_until_idle(wrk: subprocess.Popen[bytes], seconds: float) -> None:
    """Read what wrk says, past the buffer that reads its end."""
    assert wrk.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(wrk.stdout, selectors.EVENT_READ)
        said = b""
        while b"idle\n" not in said:
            if not selector.select(seconds + PATIENCE_SECONDS) or not (more := os.read(wrk.stdout.fileno(), 4096)):
                raise RuntimeError(f"wrk did not get its last answers. It said: {said.decode(errors='replace')}")
            said += more
