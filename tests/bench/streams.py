"""Many streams open at once: what each costs in memory, and whether one is lost when a worker is killed meanwhile."""

import asyncio
import os
import re
import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.callers import Answer, Caller
from tests.bench.cpu import Pids
from tests.bench.load import Shape
from tests.bench.money import expected_nano, mute_sweeper
from tests.bench.report import ENVOY, REDIS, SIDECAR
from tests.e2e.harness import Customer, Gateway, eventually, gateway

MODEL: Final = "gpt-5-mini"
OPENING: Final = 200
"""Streams that begin at once: the vendor's and Envoy's queues for new connections are not what is measured."""

CHUNKS, PAUSE_AT = 4, 2
SPARE_FILES: Final = 2_000
PATIENCE_SECONDS: Final = 240.0
PER_CALLER: Final = 100
"""Streams that share an HTTP/2 connection."""


def run(folder: Path, config: Path, parts: Callable[[Gateway], Pids], count: int, console: Console) -> dict[str, Any]:
    """Open so many streams, let them wait in their midst, kill a worker, and let them end. Memory in KiB a stream."""
    _allow_files(count + SPARE_FILES)
    with gateway(config, folder / "data", workers=2) as running:
        mute_sweeper(running)
        customer = running.customer(usd="1000000", max_live=count + 1)
        asyncio.run(_all(running, customer, OPENING, parts(running)))  # warm up: connections, caches, arenas
        seen = asyncio.run(_all(running, customer, count, parts(running)))
        requests = OPENING + count
        books = _books(running, customer, requests)
    results = {"streams": count, **seen, **books}
    _print(console, results)
    return results


async def _all(running: Gateway, customer: Customer, count: int, parts: Pids) -> dict[str, Any]:
    before = _memory_kib(parts)
    with ExitStack() as stack:
        vendor = stack.enter_context(httpx.Client(base_url=running.simulator_url, timeout=PATIENCE_SECONDS))
        connections = [await Caller.connect(running.url) for _ in range(-(-count // PER_CALLER))]
        callers = [stack.enter_context(closing(each)) for each in connections]
        async with asyncio.timeout(PATIENCE_SECONDS):
            began = time.monotonic()
            answers = await _open(callers, customer, count)
            opening_seconds = time.monotonic() - began
            while vendor.get("/_sim/paused").json()["paused"] < count:
                await asyncio.sleep(0.1)
        assert not any(answer.ended.done() for answer in answers), "a stream ended before its time"
        open_ = _memory_kib(parts)
        os.kill(next(iter(parts[SIDECAR])), signal.SIGKILL)
        assert vendor.post("/_sim/resume").json()["resumed"] == count
        async with asyncio.timeout(PATIENCE_SECONDS):
            ended = await asyncio.gather(*(answer.ended for answer in answers), return_exceptions=True)
    whole = sum(isinstance(body, bytes) and b"data: [DONE]" in body for body in ended)
    assert whole == count, f"of {count} streams, {whole} came whole"
    await asyncio.to_thread(eventually, running.workers_ready, "the killed worker's successor", 60)
    return {
        "whole": whole,
        "opening_seconds": opening_seconds,
        "memory_kib_before": before,
        "memory_kib_open": open_,
        "kib_per_stream": {part: (open_[part] - before[part]) / count for part in open_},
    }


async def _open(callers: Sequence[Caller], customer: Customer, count: int) -> list[Answer]:
    """Begin so many streams; each has its status then."""
    body = Shape("waits", CHUNKS).body(MODEL).replace(b'\\"chunks\\":', b'\\"pause_at\\":%d,\\"chunks\\":' % PAUSE_AT)
    headers = {"authorization": f"Bearer {customer.key}", "content-type": "application/json"}
    opening = asyncio.Semaphore(OPENING)

    async def begin(caller: Caller) -> Answer:
        async with opening:
            answer = caller.post("/v1/chat/completions", headers, body)
            status = await answer.begun
        assert status == 200, status
        return answer

    return await asyncio.gather(*(begin(callers[place % len(callers)]) for place in range(count)))


def _books(running: Gateway, customer: Customer, requests: int) -> dict[str, int]:
    eventually(lambda: not running.wallet(customer).held_nano, "every hold to end", PATIENCE_SECONDS)
    totals = httpx.get(f"{running.simulator_url}/_sim/totals").json()[MODEL]
    charged, expected = running.wallet(customer).used_nano, expected_nano(running, MODEL, totals)
    assert totals["requests"] == requests, f"the vendor was asked {totals['requests']} times, not {requests}"
    assert charged == expected, f"charged {charged}, not {expected}"
    return {"requests": requests, "charged_nano": charged, "expected_nano": expected}


def _memory_kib(parts: Pids) -> dict[str, int]:
    """The memory of each part; what several processes share is counted once (PSS)."""
    return {part: sum(map(_pss_kib, pids)) for part, pids in parts.items()}


def _pss_kib(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found, f"no memory of process {pid}"
    return int(found[1])


def _allow_files(count: int) -> None:
    """As many open files as that, here and in what is started from here. Raises `SystemExit` where it may not be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))
    except (ValueError, PermissionError):
        raise SystemExit(f"{count:,} open files are needed, {hard:,} are allowed: raise `ulimit -Hn`") from None


def _print(console: Console, results: dict[str, Any]) -> None:
    title = (
        f"{results['streams']:,} streams open at once: {results['whole']:,} came whole, a worker was killed meanwhile"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for column in ("", "before, MB", "with all open, MB", "KiB a stream"):
        table.add_column(column, justify="right" if column else "left")
    for part in (SIDECAR, ENVOY, REDIS):
        before, open_ = (results[name][part] / 1024 for name in ("memory_kib_before", "memory_kib_open"))
        table.add_row(part, f"{before:.0f}", f"{open_:.0f}", f"{results['kib_per_stream'][part]:.1f}")
    console.print(table)
    per_second = results["streams"] / results["opening_seconds"]
    console.print(f"opened in {results['opening_seconds']:.1f} s, {per_second:.0f} a second")
    console.print(
        f"{results['requests']:,} requests, charged what the vendor counted: {results['charged_nano']:,} nano"
    )
