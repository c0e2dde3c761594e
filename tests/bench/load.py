"""The load: what is asked, and wrk asking it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

SCRIPT: Final = Path(__file__).with_name("post.lua")
PATIENCE_SECONDS: Final = 60
INSTALL: Final = "wrk is missing. Install it: sudo apt-get install -y wrk"

PROMPT: Final = "Tell me in a few sentences why the sky is blue, and when it is not."


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of request: `chunks` text events in its stream, None for an answer in one piece.

    The vendor begins to answer after `wait_ms`, and waits `chunk_ms` before each chunk.
    """

    name: str
    chunks: int | None = None
    wait_ms: int = 0
    chunk_ms: int = 0

    def body(self, model: str) -> bytes:
        """The request, in compact JSON as the SDKs send it. Streams ask for their usage, so that both sides get it."""
        asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": PROMPT}]}
        if self.chunks is not None:
            script = {"chunks": self.chunks, "first_delay_ms": self.wait_ms, "delay_ms": self.chunk_ms}
            asked["messages"][0]["content"] += f" [[sim {msgspec.json.encode(script).decode()}]]"
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        return msgspec.json.encode(asked)


UNARY, SHORT, LONG = Shape("unary"), Shape("10 chunks", 10), Shape("1,000 chunks", 1000)

PACED: Final = (Shape("10 chunks", 10, wait_ms=1980, chunk_ms=2), Shape("1,000 chunks", 1000, chunk_ms=2))
"""Streams of the same length in time, 2 s, whose chunks travel one by one: without a wait, many share a packet."""


class Timing(msgspec.Struct, frozen=True):
    """What wrk saw: latencies in µs; `seconds` from the start to the last answer."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int


def wrk_is_there() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def post(url: str, body: bytes, key: str, connections: int, seconds: float, idle: Callable[[], bool]) -> Timing:
    """Ask for so many seconds, and wait until the server is `idle`: a request cut off would be charged by its bytes."""
    environment = {"BENCH_BODY": body.decode(), "BENCH_KEY": key, "BENCH_SECONDS": str(seconds)}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{PATIENCE_SECONDS}s", "--timeout", "30s", "-s", str(SCRIPT), url]
    with subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True) as wrk:
        try:
            _let_it_run(wrk, seconds, idle)
        finally:
            wrk.send_signal(signal.SIGINT)
        assert wrk.stdout is not None
        said = wrk.stdout.read()
    return msgspec.json.decode(said.splitlines()[-1], type=Timing)


def _let_it_run(wrk: subprocess.Popen[str], seconds: float, idle: Callable[[], bool]) -> None:
    """Until the time is over and two looks in a row found nothing under way."""
    looks = 0
    pause = seconds + 0.05
    while looks < 2:
        try:
            wrk.wait(pause)
        except subprocess.TimeoutExpired:
            looks = looks + 1 if idle() else 0
            pause = 0.05
        else:
            raise RuntimeError("wrk ended before its time")
