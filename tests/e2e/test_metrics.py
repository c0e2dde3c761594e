"""What Prometheus is told of a real gateway with two workers: the sums are those of the books, whoever dies."""

import http.client
import math
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from extproc import envoy_admin
from tests.e2e.calls import call
from tests.e2e.harness import HTTP, Customer, Gateway, eventually, gateway
from tests.e2e.test_reload import ENVIRONMENT, Edited, Folder

USAGE = {"input": 100, "cached": 40, "output": 20, "reasoning": 5}
LARGE = {"input": 100_000, "output": 20}
"""More than the body could hold: an overrun."""


class Scraped:
    """One page of metrics."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.names = [family.name for family in families]
        self._samples = [sample for family in families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all series of this name that have these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= dict(sample.labels).items()
        )

    def label(self, name: str, label: str) -> str:
        """The value of a label of the one series of this name."""
        (found,) = [sample.labels[label] for sample in self._samples if sample.name == name]
        return str(found)


class Watched(Edited):
    """A gateway with ports for metrics, its YAML, and whom its books are about."""

    def scrape(self) -> Scraped:
        """What Prometheus gets now."""
        return Scraped(self.page("/metrics").text)

    def page(self, path: str) -> Any:
        """A page of the parent's port."""
        return HTTP.get(f"http://127.0.0.1:{self.gateway.settings.metrics_port}{path}")

    def until(self, name: str, value: float, **labels: str) -> Scraped:
        """The first page on which this has this value."""

        def found() -> list[Scraped]:
            page = self.scrape()
            return [page] if page(name, **labels) == value else []

        return eventually(found, f"{name} {labels} to be {value}")[0]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two workers; one channel, one model, one group."""
    folder = Folder(tmp_path_factory.mktemp("yaml"))
    data = tmp_path_factory.mktemp("metrics")
    with gateway(folder.path, data, workers=2, environment=ENVIRONMENT, metrics=True) as running:
        yield Watched(running, folder)


def asked(watched: Watched, customer: Customer, script: Mapping[str, Any], times: int = 1) -> list[int]:
    """The status of so many chat calls."""
    return [call(watched.gateway, customer, "chat", script).status_code for _ in range(times)]


def test_the_metrics_are_the_books(watched: Watched) -> None:
    """Requests, holds, money, tokens, overruns and refusals of both workers add up to what the ledger has, exactly."""
    rich, poor = watched.gateway.customer(), watched.gateway.customer(usd="0")
    assert asked(watched, rich, {"usage": USAGE}, times=12) == [200] * 12
    assert asked(watched, rich, {"usage": LARGE}) == [200]
    assert asked(watched, rich, {"status": 400}, times=2) == [400] * 2
    assert asked(watched, poor, {}, times=3) == [402] * 3
    assert asked(watched, Customer("nobody", "sk-" + "x" * 43, ""), {}, times=4) == [401] * 4
    records = watched.gateway.settled(rich, 15)

    page = watched.until("tollgate_requests_total", 15)

    ours: dict[str, str] = {"operation": "openai.chat", "group": "default", "channel": "a"}
    assert page("tollgate_requests_total", **ours, status="2xx") == 13
    assert page("tollgate_requests_total", **ours, status="4xx") == 2
    assert page("tollgate_holds_total", outcome="held") == 15
    assert page("tollgate_holds_total", outcome="wallet") == 3
    assert page("tollgate_held_nano_usd_total") == sum(record["hold_nano"] for record in records)
    assert page("tollgate_settled_nano_usd_total", group="default", channel="a") == sum(
        record["charged_nano"] for record in records
    )
    assert page("tollgate_ends_total", usage_source="reported") == 13
    assert page("tollgate_ends_total", usage_source="none") == 2
    assert page("tollgate_overruns_total") == 1
    (large,) = [record for record in records if record["usage"]["input_tokens"] == LARGE["input"]]
    assert page("tollgate_overrun_nano_usd_total") == large["charged_nano"] - large["hold_nano"]
    assert page("tollgate_refusals_total", code="insufficient_quota", reason="billing_shortfall") == 3
    assert page("tollgate_refusals_total", code="invalid_api_key") == 4
    tokens = {"input": 12 * 60 + 100_000, "cache_read": 12 * 40, "output": 12 * 15 + 20, "reasoning": 12 * 5}
    assert {name: page("tollgate_tokens_total", model="chat", **{"class": name}) for name in tokens} == tokens
    assert page("tollgate_ledger_seconds_count", verb="hold") == 18
    assert page("tollgate_holds_live") == page("tollgate_hold_overdue_seconds") == 0


def test_no_metric_is_told_twice_or_of_whom(watched: Watched) -> None:
    """Each name stands on the page once, and no owner, key or request does."""
    customer = watched.gateway.customer()
    asked(watched, customer, {})
    (record,) = watched.gateway.settled(customer, 1)
    page = watched.page("/metrics").text
    names = Scraped(page).names
    assert sorted(names) == sorted(set(names))
    assert all(name.startswith("tollgate_") for name in names)
    for private in (customer.owner, customer.key_id, customer.key[:10], record["request_id"]):
        assert private not in page


def test_a_dead_workers_counts_stay_and_its_gauges_go(watched: Watched) -> None:
    """kill -9 of one of two: what both counted is still there, the workers that run are two again, not three."""
    customer = watched.gateway.customer()
    asked(watched, customer, {}, times=4)
    watched.gateway.settled(customer, 4)
    before = watched.until("tollgate_workers", 2)
    requests = before("tollgate_requests_total")
    restarts = before("tollgate_child_restarts_total")

    victim = watched.gateway.pids("extproc.app")[0]
    os.kill(victim, signal.SIGKILL)
    watched.until("tollgate_child_restarts_total", restarts + 1)
    page = watched.until("tollgate_workers", 2)
    assert page("tollgate_requests_total") == requests
    assert not list(watched.gateway.settings.metrics.glob(f"gauge_*_{victim}.db"))

    eventually(watched.gateway.workers_ready, "both workers")
    asked(watched, customer, {}, times=4)
    watched.gateway.settled(customer, 8)
    watched.until("tollgate_requests_total", requests + 4)


def test_a_broken_edit_shows_until_it_is_mended(watched: Watched) -> None:
    """The gauge is 1 and the revision stays; mended by another edit it is 0, with a new revision and a later time."""
    before = watched.scrape()
    revision, since = (
        before.label("tollgate_config_info", "revision"),
        before("tollgate_reload_last_success_timestamp_seconds"),
    )
    watched.folder.edit(lambda yaml: yaml["groups"]["default"].update(multiplier="lots"))
    broken = watched.until("tollgate_reload_failed", 1)
    assert broken.label("tollgate_config_info", "revision") == revision
    assert broken("tollgate_reload_last_success_timestamp_seconds") == since
    assert broken("tollgate_reloads_total", result="refused") == 1
    code, said = watched.status()
    assert code == 1
    assert "is broken; what was accepted before stays live." in said["wrong"][0]
    assert "multiplier" in said["live"]["problems"][0]

    watched.folder.edit(lambda yaml: yaml["groups"]["default"].update(multiplier=0.5))
    mended = watched.until("tollgate_reload_failed", 0)
    mended = watched.until("tollgate_reloads_total", before("tollgate_reloads_total", result="live") + 1, result="live")
    assert mended.label("tollgate_config_info", "revision") != revision
    assert mended("tollgate_reload_last_success_timestamp_seconds") > since


def test_health_tells_alive_from_ready(watched: Watched) -> None:
    """A worker that hangs, then Redis: not ready, and why; alive all the same; ready again when they go on."""
    eventually(lambda: watched.page("/readyz").status_code == 200, "readiness")
    parts = {"extproc.app --index 0": "worker-0 does not serve.\n", "redis-server": "Redis does not answer: "}
    for part, reason in parts.items():
        watched.gateway.kill(part, signal.SIGSTOP)
        try:
            answer = watched.page("/readyz")
            assert (answer.status_code, reason in answer.text) == (503, True)
            assert watched.page("/healthz").status_code == 200
        finally:
            watched.gateway.kill(part, signal.SIGCONT)
        eventually(lambda: watched.page("/readyz").status_code == 200, "readiness")


def test_status_names_a_worker_that_hangs(watched: Watched) -> None:
    """Its process runs, but it does not answer: exit code 1, and a sentence that says which."""
    eventually(lambda: watched.status()[0] == 0, "a status without complaints")
    watched.gateway.kill("extproc.app --index 1", signal.SIGSTOP)
    try:
        code, said = watched.status()
    finally:
        watched.gateway.kill("extproc.app --index 1", signal.SIGCONT)
    assert (code, "worker-1 runs, but does not answer." in said["wrong"]) == (1, True)
    eventually(lambda: watched.status()[0] == 0, "a status without complaints")


def test_envoys_metrics(watched: Watched) -> None:
    """`GET /stats/prometheus` tells Envoy's own, with a query or without."""
    for path in ("/stats/prometheus", "/stats/prometheus?usedonly"):
        answer = HTTP.get(f"http://127.0.0.1:{watched.gateway.settings.edge.metrics_port}{path}")
        assert answer.status_code == 200
        found = Scraped(answer.text)("envoy_http_downstream_rq_total", envoy_http_conn_manager_prefix="edge")
        assert not math.isnan(found)
        assert found > 0


BARRED = [
    ("GET", "/"),
    ("GET", "/quitquitquit"),
    ("POST", "/quitquitquit"),
    ("GET", "/config_dump"),
    ("GET", "/config_dump?include_eds"),
    ("GET", "/stats"),
    ("GET", "/stats/prometheus/"),
    ("GET", "/stats/prometheus/../../config_dump"),
    ("GET", "/stats/prometheus/%2e%2e/%2e%2e/config_dump"),
    ("GET", "/stats/prometheus%2f..%2f..%2fconfig_dump"),
    ("GET", "//stats/prometheus"),
    ("GET", "/stats/prometheus;/../../config_dump"),
    ("GET", "http://admin/config_dump"),
    ("POST", "/stats/prometheus"),
    ("PUT", "/stats/prometheus"),
    ("HEAD", "/stats/prometheus"),
    ("OPTIONS", "/stats/prometheus"),
    ("POST", "/drain_listeners"),
    ("POST", "/logging?level=trace"),
]


@pytest.mark.parametrize(("method", "path"), BARRED)
def test_nothing_else_of_the_admin_interface(watched: Watched, method: str, path: str) -> None:
    """Any other page and any other method: 404 from the listener itself, and Envoy goes on as before."""
    connection = http.client.HTTPConnection("127.0.0.1", watched.gateway.settings.edge.metrics_port, timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("content-length", "0")
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert (answer.status, body) == (404, b"")
    assert answer.getheader("x-envoy-upstream-service-time") is None
    assert watched.gateway.pids("envoy.yaml")


def test_without_ports_nobody_listens(watched: Watched, demo: Gateway) -> None:
    """A gateway with both ports 0 has no listener for metrics, and no way to Envoy's admin interface."""
    assert demo.settings.metrics_port == demo.settings.edge.metrics_port == 0
    assert "metrics::" in envoy_admin.ask(watched.gateway.settings.run / "admin.sock", "/listeners")
    for asked in ("/listeners", "/clusters"):
        told = envoy_admin.ask(demo.settings.run / "admin.sock", asked)
        assert not [line for line in told.splitlines() if line.startswith(("metrics::", "admin::"))]
