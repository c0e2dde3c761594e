"""Filling the bootstrap in, and the endpoints of the sidecar."""

import pytest
import yaml

from extproc.compiler.bootstrap import metrics_address, render_bootstrap, render_sidecar
from extproc.errors import ConfigError
from extproc.names import worker_socket
from tests.compiler.samples import BOOTSTRAP, VALUES


def test_fills_in_address_and_port() -> None:
    """What is left is YAML without a placeholder, listening where it was told to."""
    rendered = render_bootstrap(BOOTSTRAP, {**VALUES, "TOLLGATE_LISTEN": "::", "TOLLGATE_PORT": "81"})
    edge, gate, metrics = yaml.safe_load(rendered)["static_resources"]["listeners"]
    assert "address" not in gate
    assert edge["address"] == {"socket_address": {"address": "::", "port_value": 81}}
    assert metrics["address"] == {"socket_address": {"address": "127.0.0.1", "port_value": 9465}}
    assert "$" not in rendered


@pytest.mark.parametrize(
    ("text", "values", "message"),
    [
        ("${TOLLGATE_A} ${TOLLGATE_B}", {"TOLLGATE_A": "1"}, "no value for TOLLGATE_B"),
        ("${TOLLGATE_A}", {"TOLLGATE_A": "1", "TOLLGATE_C": "2"}, "has no placeholder TOLLGATE_C"),
        ("${HOME}", {}, "a '\\$' that does not begin"),
        ("$TOLLGATE_A", {"TOLLGATE_A": "1"}, "a '\\$' that does not begin"),
        ("${tollgate_a}", {}, "a '\\$' that does not begin"),
    ],
)
def test_values_and_placeholders_must_match(text: str, values: dict[str, str], message: str) -> None:
    """A placeholder that is missing, unknown or misspelled is an error, not a setting that stays as it is."""
    with pytest.raises(ConfigError, match=message):
        render_bootstrap(text, values)


def test_the_listeners_are_the_only_thing_deployments_differ_in() -> None:
    """Everything else in the bootstrap is the same everywhere: the values are these three."""
    assert set(VALUES) == {"TOLLGATE_LISTEN", "TOLLGATE_PORT", "TOLLGATE_METRICS_ADDRESS"}
    render_bootstrap(BOOTSTRAP, VALUES)


def test_without_a_port_envoys_metrics_are_at_a_socket() -> None:
    """Nobody but the user that runs Envoy reaches them there: 384 is 0600."""
    rendered = render_bootstrap(BOOTSTRAP, {**VALUES, "TOLLGATE_METRICS_ADDRESS": metrics_address("127.0.0.1", 0)})
    *_, metrics = yaml.safe_load(rendered)["static_resources"]["listeners"]
    assert metrics["address"] == {"pipe": {"path": "metrics.sock", "mode": 384}}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_worker_is_an_endpoint(count: int) -> None:
    """The sidecar cluster has the sockets of all workers, relative to the run folder."""
    (assignment,) = yaml.safe_load(render_sidecar(count))["resources"]
    endpoints = assignment["endpoints"][0].get("lb_endpoints", [])
    paths = [endpoint["endpoint"]["address"]["pipe"]["path"] for endpoint in endpoints]
    assert paths == [worker_socket(index) for index in range(count)]
