"""What the parent tells over HTTP, and how it comes to know it.

GET /metrics    what the workers counted, and what the parent sees       for Prometheus
GET /healthz    200 as long as the parent lives                          for whoever starts it again when it does not
GET /readyz     200 if requests would be served, else 503 and why not    for whoever sends requests
"""

import asyncio
import contextlib
import math
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from prometheus_client import make_wsgi_app

from extproc import parent_metrics
from extproc.clock import now_ms
from extproc.errors import ConfigError, LedgerUnavailable
from extproc.settings import Settings
from extproc.status import not_ready, serving_workers
from extproc.store.connection import Connection
from extproc.store.durability import shortcomings
from extproc.store.live import live_holds
from extproc.wire import journal, spool

log = structlog.get_logger()

LOOK_SECONDS = 10.0
"""How old what the parent sees may be."""

REQUEST_SECONDS = 10.0
"""How long a caller may take to ask."""


@contextlib.contextmanager
def answering(settings: Settings, with_envoy: bool) -> Iterator[None]:
    """Answer meanwhile, if there is to be a port. Raises `ConfigError` when it cannot be had.

    `with_envoy` tells whether requests are served only if Envoy is ready too.
    """
    if not settings.metrics_port:
        yield
        return
    with parent_metrics.collected(settings.metrics) as registry:
        app = make_app(make_wsgi_app(registry), lambda: asyncio.run(not_ready(settings, with_envoy)))
        with _listen(settings, app) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


def make_app(metrics_app: WSGIApplication, why_not: Callable[[], list[str]]) -> WSGIApplication:
    """The three pages, and nothing else. `why_not` says what keeps requests from being served, if anything."""

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        page = environ["PATH_INFO"] if environ["REQUEST_METHOD"] == "GET" else None
        if page == "/metrics":
            return metrics_app(environ, start)
        if page == "/healthz":
            return _say(start, "200 OK", ["ok"])
        if page == "/readyz":
            reasons = why_not()
            return _say(start, "503 Service Unavailable", reasons) if reasons else _say(start, "200 OK", ["ok"])
        return _say(start, "404 Not Found", ["There is nothing at this path."])

    return app


async def watch(settings: Settings) -> None:
    """See for what no worker counts, again and again until cancelled."""
    async with contextlib.aclosing(Connection(settings.redis_url)) as redis:
        while True:
            try:
                await look(settings, redis)
            except Exception:
                log.exception("watch_failed")
            await asyncio.sleep(LOOK_SECONDS)


async def look(settings: Settings, redis: Connection) -> None:
    """Tell the metrics how workers, spool, journal and Redis are. What only Redis knows is NaN while it is away."""
    parent_metrics.WORKERS_WANTED.set(settings.workers)
    parent_metrics.WORKERS_SERVING.set(len(await serving_workers(settings.run, settings.workers)))
    parent_metrics.WAITING.set(await asyncio.to_thread(spool.waiting, settings.spool))
    lag, now = await asyncio.to_thread(journal.lag, settings.data), now_ms()
    parent_metrics.JOURNAL_LAG_BYTES.set(lag.bytes)
    parent_metrics.JOURNAL_LAG.set(0 if lag.since_ms is None else max(0, now - lag.since_ms) / 1000)
    try:
        live, warnings = await live_holds(redis), await shortcomings(redis)
    except LedgerUnavailable:
        parent_metrics.REDIS_UP.set(0)
        for unknown in (parent_metrics.HOLDS_LIVE, parent_metrics.OLDEST_HOLD, parent_metrics.OVERDUE):
            unknown.set(math.nan)
        return
    parent_metrics.REDIS_UP.set(1)
    parent_metrics.REDIS_WARNINGS.set(len(warnings))
    parent_metrics.HOLDS_LIVE.set(live.count)
    parent_metrics.OLDEST_HOLD.set(live.oldest_ms(now) / 1000)
    parent_metrics.OVERDUE.set(live.overdue_ms(now) / 1000)


def _say(start: StartResponse, status: str, lines: list[str]) -> list[bytes]:
    start(status, [("content-type", "text/plain; charset=utf-8")])
    return ["".join(f"{line}\n" for line in lines).encode()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: one asks every few seconds."""


def _listen(settings: Settings, app: WSGIApplication) -> WSGIServer:
    server = _Server6 if ":" in settings.metrics_listen else _Server
    try:
        return make_server(settings.metrics_listen, settings.metrics_port, app, server, _Handler)
    except OSError as error:
        raise ConfigError(
            f"Port {settings.metrics_port} for metrics and health cannot be had ({error.strerror}). "
            "Set another: TOLLGATE_METRICS_PORT=…, or --metrics-port"
        ) from error
