"""Envoy without Tollgate: the gateway's own bootstrap, less all that is Tollgate's, with one static cluster."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from extproc import envoy_admin
from extproc.binaries import envoy_binary
from extproc.compiler.bootstrap import BOOTSTRAP, ROUTES
from tests.e2e.harness import Gateway, eventually, free_port

VENDOR_PATH: Final = "/openai/v1/"
"""The simulator's path of the channel `demo-openai`, where the demo configuration sends a chat call first."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A running Envoy without a sidecar."""

    url: str
    admin: Path
    pid: int


def plain_bootstrap(run: Path, port: int, vendor_port: int) -> dict[str, Any]:
    """The bootstrap of a run folder without its sidecar: same listener, route, retries; the router is its only filter.

    Local replies and the access log are left out too, for they are Tollgate's.
    """
    document: dict[str, Any] = yaml.safe_load((run / BOOTSTRAP).read_text())
    (routes,) = json.loads((run / ROUTES).read_text())["resources"]
    del document["dynamic_resources"]
    resources = document["static_resources"]
    (listener,) = resources["listeners"] = [one for one in resources["listeners"] if one["name"] == "edge"]
    listener["address"]["socket_address"]["port_value"] = port
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["access_log"], manager["local_reply_config"], manager["rds"]
    manager["route_config"] = {"name": routes["name"], "virtual_hosts": routes["virtual_hosts"]}
    for part in ("typed_per_filter_config", "rate_limits"):
        manager["route_config"]["virtual_hosts"][0].pop(part, None)
    manager["http_filters"] = manager["http_filters"][-1:]
    _send_to_vendor(manager["route_config"]["virtual_hosts"][0]["routes"])
    resources["clusters"] = [_vendor(vendor_port)]
    return document


@contextlib.contextmanager
def plain_envoy(beside: Gateway, folder: Path) -> Iterator[Plain]:
    """Run it in this folder, with the simulator of a gateway as its vendor, until the end of the block."""
    port = free_port()
    folder.mkdir()
    settings = beside.settings
    bootstrap = plain_bootstrap(settings.run, port, settings.demo_port)
    (folder / "plain.json").write_text(json.dumps(bootstrap))
    command = [str(envoy_binary()), "-c", "plain.json", "--log-level", "warning", "--concurrency", "2"]
    with (
        (folder / "plain.log").open("wb") as said,
        subprocess.Popen([*command, "--disable-hot-restart"], cwd=folder, stdout=said, stderr=said) as process,
    ):
        try:
            eventually(lambda: _ready(folder / "admin.sock"), "Envoy without Tollgate")
            yield Plain(f"http://127.0.0.1:{port}", folder / "admin.sock", process.pid)
        finally:
            process.terminate()


def under_way(admin: Path) -> int:
    """The requests that an Envoy has not finished."""
    name = "http.edge.downstream_rq_active"
    return int(envoy_admin.stats(admin, name)[name])


def _send_to_vendor(routes: list[dict[str, Any]]) -> None:
    """Keep the route for what is too large and the last one, which the others share their action with."""
    del routes[1:-1]
    for route in routes:
        route.pop("typed_per_filter_config", None)
    action = routes[-1]["route"]
    del action["inline_cluster_specifier_plugin"], action["retry_policy"]["refresh_cluster_on_retry"]
    routes[-1]["match"] = {"prefix": "/v1/"}
    action |= {"cluster": "vendor", "prefix_rewrite": VENDOR_PATH}


def _vendor(port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": "vendor", "type": "STATIC", "load_assignment": {"cluster_name": "vendor", "endpoints": endpoints}}


def _ready(admin: Path) -> bool:
    try:
        return envoy_admin.ask(admin, "/ready").strip() == "LIVE"
    except OSError:
        return False
