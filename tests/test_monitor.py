"""What the parent tells over HTTP, and what it sees for itself."""

import math
import socket
import threading
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from extproc import parent_metrics
from extproc.core.identity import KeyRecord
from extproc.core.ledger import Hold
from extproc.errors import ConfigError
from extproc.monitor import answering, look, make_app
from extproc.settings import Settings, make_settings
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.wire.spool import Spool
from tests.e2e.harness import HTTP, free_port
from tests.store.redis_server import RedisServer
from tests.test_reload import Deployment, content
from tests.wire.test_journal import Files, line
from tests.wire.test_reports import release


def value(name: str, **labels: str) -> float:
    """What the parent tells of this now."""
    found = parent_metrics.PARENT.get_sample_value(name, labels)
    assert found is not None, name
    return found


# --- Over HTTP --------------------------------------------------------------------------------------------------------

REASONS = ["worker-0 does not serve.", "Redis does not answer: no."]

PAGES = [
    ("GET", "/metrics", [], "200 OK", b"the metrics"),
    ("GET", "/healthz", REASONS, "200 OK", b"ok\n"),
    ("GET", "/readyz", [], "200 OK", b"ok\n"),
    ("GET", "/readyz", REASONS, "503 Service Unavailable", "".join(f"{each}\n" for each in REASONS).encode()),
    ("GET", "/", [], "404 Not Found", b"There is nothing at this path.\n"),
    ("GET", "/metrics/x", [], "404 Not Found", b"There is nothing at this path.\n"),
    ("POST", "/metrics", [], "404 Not Found", b"There is nothing at this path.\n"),
    ("DELETE", "/healthz", [], "404 Not Found", b"There is nothing at this path.\n"),
]


@pytest.mark.parametrize(("method", "path", "reasons", "status", "body"), PAGES)
def test_the_pages(method: str, path: str, reasons: list[str], status: str, body: bytes) -> None:
    """Three, each for GET alone; what keeps requests from being served is told, and is no matter of life."""
    told: list[Any] = []

    def metrics_app(_: object, start: Any) -> list[bytes]:
        start("200 OK", [])
        return [b"the metrics"]

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path}
    app = make_app(metrics_app, lambda: reasons)
    answer = b"".join(app(environ, lambda status, *_: told.append(status)))  # type: ignore[arg-type]
    assert (told, answer) == ([status], body)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """One worker that does not run, a Redis that is not there, and a free port."""
    settings = make_settings(tmp_path, tmp_path / "data", None, workers=1, metrics_port=free_port())
    settings.metrics.mkdir(parents=True)
    return settings


def test_it_is_alive_before_it_is_ready(settings: Settings) -> None:
    """Over a real port: alive; not ready, with a sentence for each reason, Envoy's only where it is ours."""
    url = f"http://127.0.0.1:{settings.metrics_port}"
    for with_envoy in (False, True):
        with answering(settings, with_envoy):
            assert HTTP.get(f"{url}/healthz").status_code == 200
            ready = HTTP.get(f"{url}/readyz")
            assert "tollgate_workers_wanted" in HTTP.get(f"{url}/metrics").text
        worker, redis, *envoy = ready.text.splitlines()
        assert (ready.status_code, worker) == (503, "worker-0 does not serve.")
        assert redis.startswith("Redis does not answer: ")
        assert [each.startswith("Envoy does not answer: ") for each in envoy] == [True] * with_envoy


def test_an_ipv6_address(settings: Settings) -> None:
    """As well as an IPv4 one."""
    with answering(replace(settings, metrics_listen="::1"), with_envoy=False):
        assert HTTP.get(f"http://[::1]:{settings.metrics_port}/healthz").status_code == 200


def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    """One sentence that says which and what to do."""
    with answering(settings, with_envoy=False), pytest.raises(ConfigError) as raised, answering(settings, False):
        pass
    assert str(raised.value) == (
        f"Port {settings.metrics_port} for metrics and health cannot be had (Address already in use). "
        "Set another: TOLLGATE_METRICS_PORT=…, or --metrics-port"
    )


def test_a_caller_that_says_nothing_keeps_nobody_waiting(settings: Settings) -> None:
    """Each has a thread of its own, and none keeps the parent from ending."""
    address, before = ("127.0.0.1", settings.metrics_port), set(threading.enumerate())
    with answering(settings, with_envoy=False), socket.create_connection(address) as silent:
        silent.send(b"GET /metrics HT")
        assert HTTP.get(f"http://127.0.0.1:{settings.metrics_port}/healthz").status_code == 200
    began = set(threading.enumerate()) - before
    assert not [thread for thread in began if "serve_forever" in thread.name]


# --- What the parent sees ---------------------------------------------------------------------------------------------


async def look_once(settings: Settings) -> None:
    """As the parent does every few seconds."""
    async with aclosing(Connection(settings.redis_url)) as redis:
        await look(settings, redis)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that keeps nothing on disk."""
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.kill()


async def test_what_waits_and_what_is_wrong_is_seen(server: RedisServer, tmp_path: Path) -> None:
    """Reports in the spool, an old line in the journal, an overdue hold, a Redis without a file; then that it is gone.

    When Redis is away, nobody knows of holds: their gauges are not a number, rather than as they were.
    """
    settings = make_settings(tmp_path, tmp_path / "data", server.url, workers=3)
    settings.run.mkdir(parents=True)
    Spool(settings.spool, 0).append(release("h"))
    Files(settings.data).append(line("old", ended_ms=1_000_000_000_000))
    connection = Connection(server.url)
    await RedisKeyring(connection).put(KeyRecord("k", "ada", "sk-", "", "g"), replaces=0)
    await RedisLedger(connection).hold(Hold("h", "ada", "k", 1, (), 0, 0, deadline_ms=1_000_000_000_000))
    await connection.aclose()

    await look_once(settings)
    assert value("tollgate_reports_waiting") == 1
    assert value("tollgate_journal_lag_bytes") > 100
    assert value("tollgate_journal_lag_seconds") > 10**8
    assert (value("tollgate_redis_up"), value("tollgate_redis_warnings"), value("tollgate_holds_live")) == (1, 1, 1)
    assert value("tollgate_hold_overdue_seconds") > 10**8
    assert (value("tollgate_workers_serving"), value("tollgate_workers_wanted")) == (0, 3)

    server.kill()
    await look_once(settings)
    assert value("tollgate_redis_up") == 0
    for name in ("tollgate_holds_live", "tollgate_hold_oldest_age_seconds", "tollgate_hold_overdue_seconds"):
        assert math.isnan(value(name))


def test_a_reload_is_told() -> None:
    """An edit that waits, one that is live, one that is broken, and one that mends it; a fault counts once."""
    with TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder), content({"a": "a"}))
        live, refused = (value("tollgate_reloads_total", result=result) for result in ("live", "refused"))

        deployment.write(content({"a": "a", "b": "b"}))
        deployment.step()
        assert (value("tollgate_reload_waiting"), value("tollgate_reload_failed")) == (1, 0)
        deployment.settle()
        assert value("tollgate_reload_waiting") == 0
        assert value("tollgate_reloads_total", result="live") == live + 1

        (deployment.settings.config / "groups.yaml").write_text("groups: 7")
        for _ in range(3):
            deployment.step()
            deployment.now += 100
        assert (value("tollgate_reload_failed"), value("tollgate_reloads_total", result="refused")) == (1, refused + 1)

        deployment.write(content({"a": "a"}))
        deployment.settle()
        assert value("tollgate_reload_failed") == 0
        revision = deployment.reload._loaded.catalog.revision
        assert value("tollgate_config_info", revision=revision) == 1
        assert value("tollgate_reload_last_success_timestamp_seconds") > 10**9
