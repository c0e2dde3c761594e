"""`tollgate up` and `tollgate serve`: every process of one machine, started in order and ended in order.

Redis ─▶ demo vendor ─▶ workers, admin ─▶ Envoy ─▶ ready          Ctrl-C: the same backwards, Envoy drained first

From then on edits of the YAML go live (`extproc.reload`).
"""

import asyncio
import contextlib
import fcntl
import ipaddress
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from extproc import envoy_admin, metrics, others, parent_metrics
from extproc.binaries import envoy_binary, redis_binary
from extproc.certificate import ensure_certificate
from extproc.compiler.install import Installed, write_run_folder
from extproc.config.load import Loaded, load
from extproc.drain import drain
from extproc.errors import ConfigError, LedgerUnavailable
from extproc.monitor import answering, watch
from extproc.reload import EnvoyClusters, Reload
from extproc.settings import Settings
from extproc.store.connection import Connection
from extproc.store.durability import shortcomings
from extproc.supervisor import Child, until

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def everything(settings: Settings, demo: bool) -> AsyncIterator[tuple[Loaded, Sequence[Child]]]:
    """Run all processes; inside, they are ready. Raises `ConfigError` or `ChildFailed`, with nothing left running."""
    edge = settings.edge
    _require_free(edge.listen, edge.port, "the gateway", "PORT=…, or --port")
    _require_free(edge.listen, edge.tls_port, "the gateway's TLS", "TLS_PORT=…, or --tls-port")
    _require_free(edge.admin_listen, edge.admin_port, "the admin API", "ADMIN_PORT=…, or --admin-port")
    how = "TOLLGATE_ENVOY_METRICS_PORT=…, or --envoy-metrics-port"
    _require_free(edge.metrics_listen, edge.metrics_port, "Envoy's metrics", how)
    if demo:
        _require_free("127.0.0.1", settings.demo_port, "the demo vendor", "DEMO_PORT=…, or --demo-port")
    loaded = load(settings.config, settings.environment(), require_credentials=True)
    with _sole_user(settings.data), _fresh_run_folder(settings.run), _monitored(settings, with_envoy=True):
        installed = _write_run_folder(settings, loaded)
        reload = Reload(settings, loaded, installed, EnvoyClusters(settings.run))
        async with contextlib.AsyncExitStack() as stack:
            children = []
            if settings.embedded_redis:
                children.append(await _start(stack, _redis(settings)))
                await until(lambda: _redis_answers(settings), "Redis", children)
            if demo:
                children.append(await _start(stack, _demo_vendor(settings)))
            children += [
                await _start(stack, _worker(settings, index, stop_signal=signal.SIGINT))  # Envoy goes before them
                for index in range(settings.workers)
            ]
            children.append(await _start(stack, _admin(settings)))
            envoy = await _start(stack, _envoy(settings))
            children.append(envoy)
            stack.push_async_callback(drain, settings.run / "admin.sock")
            await until(lambda: _envoy_serves(settings, installed.version), "Envoy", children)
            await stack.enter_async_context(_meanwhile(reload.run(), watch(settings)))
            yield replace(loaded, notes=[*loaded.notes, *await _notes(settings)]), children


@contextlib.asynccontextmanager
async def sidecar(settings: Settings) -> AsyncIterator[tuple[Loaded, Sequence[Child]]]:
    """Run the workers alone, for an Envoy and a Redis that are run elsewhere; its files are in the run folder."""
    loaded = load(settings.config, settings.environment(), require_credentials=True)
    with _sole_user(settings.data), _monitored(settings, with_envoy=False):
        reload = Reload(settings, loaded, _write_run_folder(settings, loaded), EnvoyClusters(settings.run))
        async with contextlib.AsyncExitStack() as stack:
            children = [
                await _start(stack, replace(_worker(settings, index, stop_signal=signal.SIGTERM), log_file=None))
                for index in range(settings.workers)
            ]
            children.append(await _start(stack, replace(_admin(settings), log_file=None)))
            await stack.enter_async_context(_meanwhile(reload.run(), watch(settings)))
            if settings.other_workers:
                host, port = others.parse(settings.other_workers)
                await stack.enter_async_context(_meanwhile(others.follow(settings.run, settings.workers, host, port)))
            yield replace(loaded, notes=[*loaded.notes, *await _notes(settings)]), children


async def run_until_stopped(children: Sequence[Child], on_stop: Callable[[], None]) -> None:
    """Keep all children running until SIGINT or SIGTERM. Raises `ChildFailed` when one cannot be kept."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    watchers = [asyncio.create_task(child.keep_running()) for child in children]
    waiting = asyncio.create_task(stopped.wait())
    try:
        done, _ = await asyncio.wait([waiting, *watchers], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        on_stop()
    finally:
        for child in children:
            child.let_end()
        for task in (waiting, *watchers):
            task.cancel()
        await asyncio.gather(waiting, *watchers, return_exceptions=True)


def _require_free(address: str, port: int, what: str, how: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ConfigError(f"Port {port} for {what} cannot be had ({error.strerror}). Set another: {how}") from error


@contextlib.contextmanager
def _sole_user(data: Path) -> Iterator[None]:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"Another tollgate runs with the data folder {data}. Set another: DATA=…, or --data"
            raise ConfigError(message) from None
        yield


@contextlib.contextmanager
def _fresh_run_folder(run: Path) -> Iterator[None]:
    """Away with what a killed predecessor left, and with our own sockets at the end."""
    shutil.rmtree(run, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _write_run_folder(settings: Settings, loaded: Loaded) -> Installed:
    """Write what Envoy reads."""
    settings.run.mkdir(parents=True, mode=0o700, exist_ok=True)
    edge = settings.edge
    if edge.tls_port:
        ensure_certificate(edge.certificates, edge.listen, edge.admin_listen)
    return write_run_folder(settings.run, loaded.catalog, workers=settings.workers, edge=edge)


@contextlib.contextmanager
def _monitored(settings: Settings, with_envoy: bool) -> Iterator[None]:
    """Metrics and health are told meanwhile; what earlier workers counted is gone."""
    settings.run.mkdir(parents=True, mode=0o700, exist_ok=True)
    shutil.rmtree(settings.metrics, ignore_errors=True)
    settings.metrics.mkdir()
    with answering(settings, with_envoy):
        yield


@contextlib.asynccontextmanager
async def _meanwhile(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """These go on meanwhile."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _start(stack: contextlib.AsyncExitStack, child: Child) -> Child:
    await child.start()
    stack.push_async_callback(child.stop)
    return child


def _redis(settings: Settings) -> Child:
    """Balances are money: every write is in the append-only file before it is answered, and on disk within a second."""
    folder = settings.data / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": "../run/redis.sock",
        "unixsocketperm": "600",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Child("Redis", [str(redis_binary()), *arguments], settings.logs / "redis.log", cwd=folder)


def _demo_vendor(settings: Settings) -> Child:
    command = [sys.executable, "-m", "extproc.simulator", "--port", str(settings.demo_port)]
    return Child("demo vendor", command, settings.logs / "demo-vendor.log", cwd=settings.run)


def _worker(settings: Settings, index: int, stop_signal: signal.Signals) -> Child:
    command = [sys.executable, "-m", "extproc.app", "--index", str(index), "--data", str(settings.data)]
    if settings.worker_listen:
        command += ["--listen", settings.worker_listen]
    name = f"worker-{index}"
    environment = {
        **settings.environment(),
        "TOLLGATE_REDIS": settings.redis_url,  # anybody may list its arguments
        metrics.FOLDER_VARIABLE: str(settings.metrics),
    }
    on_death = partial(parent_metrics.forget_worker, settings.metrics)
    return Child(name, command, settings.logs / f"{name}.log", settings.run, environment, stop_signal, on_death)


def _admin(settings: Settings) -> Child:
    """No request needs it: a gateway without it goes on."""
    command = [sys.executable, "-m", "extproc.admin_app", "--data", str(settings.data)]
    environment = {**settings.environment(), "TOLLGATE_REDIS": settings.redis_url}
    return Child("admin", command, settings.logs / "admin.log", settings.run, environment, vital=False)


def _envoy(settings: Settings) -> Child:
    command = [str(envoy_binary()), "-c", "envoy.yaml", "--log-level", "warning", "--concurrency", "2"]
    command += ["--disable-hot-restart", "--file-flush-interval-msec", "100"]  # of the journal
    return Child("Envoy", command, settings.logs / "envoy.log", settings.run, settings.environment())


async def _redis_answers(settings: Settings) -> bool:
    async with contextlib.aclosing(Connection(settings.redis_url)) as connection:
        try:
            await connection.execute("PING")
        except LedgerUnavailable:
            return False
    return True


async def _notes(settings: Settings) -> list[str]:
    """What an operator should know about how callers come in, and about their Redis."""
    edge = settings.edge
    if edge.port and not ipaddress.ip_address(edge.listen).is_loopback:
        plain = f"{edge.listen}:{edge.port} is without TLS, and not for this machine alone; --port 0 closes it"
        return [plain, *await _redis_notes(settings)]
    return await _redis_notes(settings)


async def _redis_notes(settings: Settings) -> list[str]:
    """What an operator should know about their Redis."""
    async with contextlib.aclosing(Connection(settings.redis_url)) as connection:
        try:
            return await shortcomings(connection)
        except LedgerUnavailable as error:
            return [f"{error}. Requests are refused until it answers."]


async def _envoy_serves(settings: Settings, version: str) -> bool:
    return await asyncio.to_thread(envoy_admin.is_ready, settings.run / "admin.sock", version, settings.workers)
