"""Many streams open at once: what each costs in memory, and whether one is lost when a worker is killed meanwhile."""

import asyncio
import os
import re
import resource
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

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
PATIENCE_SECONDS: Final = 120.0
PER_CLIENT: Final = 100
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
    opening = asyncio.Semaphore(OPENING)
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(httpx.AsyncClient(base_url=running.simulator_url))
        clients = [await stack.enter_async_context(_client(running, customer)) for _ in range(-(-count // PER_CLIENT))]
        streams = [asyncio.create_task(_stream(clients[place % len(clients)], opening)) for place in range(count)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await vendor.get("/_sim/paused")).json()["paused"] < count:
                assert not any(one.done() for one in streams), "a stream ended before its time"
                await asyncio.sleep(0.1)
        open_ = _memory_kib(parts)
        os.kill(next(iter(parts[SIDECAR])), signal.SIGKILL)
        assert (await vendor.post("/_sim/resume")).json()["resumed"] == count
        async with asyncio.timeout(PATIENCE_SECONDS):
            whole = sum(await asyncio.gather(*streams))
    await asyncio.to_thread(eventually, running.workers_ready, "the killed worker's successor", 60)
    per_stream = {part: (open_[part] - before[part]) / count for part in open_}
    return {"whole": whole, "memory_kib_before": before, "memory_kib_open": open_, "kib_per_stream": per_stream}


def _client(running: Gateway, customer: Customer) -> httpx.AsyncClient:
    """A caller on HTTP/2 from the first byte: 10,000 connections more would be more files than many systems allow."""
    headers = {"authorization": f"Bearer {customer.key}", "content-type": "application/json"}
    return httpx.AsyncClient(
        base_url=running.url, headers=headers, timeout=PATIENCE_SECONDS, http1=False, http2=True, trust_env=False
    )


async def _stream(client: httpx.AsyncClient, opening: asyncio.Semaphore) -> bool:
    """One stream, read to its end; whether it came whole."""
    body = Shape("waits", CHUNKS).body(MODEL).replace(b'\\"chunks\\":', b'\\"pause_at\\":%d,\\"chunks\\":' % PAUSE_AT)
    async with AsyncExitStack() as stack:
        async with opening:
            answer = await stack.enter_async_context(client.stream("POST", "/v1/chat/completions", content=body))
        assert answer.status_code == 200, answer.status_code
        return b"data: [DONE]" in await answer.aread()


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
    console.print(
        f"{results['requests']:,} requests, charged what the vendor counted: {results['charged_nano']:,} nano"
    )
