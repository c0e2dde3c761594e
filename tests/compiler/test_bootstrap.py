"""Filling the bootstrap in, and the endpoints of the sidecar."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc import names
from extproc.compiler.bootstrap import BOOTSTRAP, ROUTES, bootstrap_files, render_bootstrap, render_sidecar
from extproc.compiler.edge import Edge, Jwt, tls_files
from extproc.errors import ConfigError
from extproc.names import worker_socket
from tests.compiler import samples

SERVICE = ("ratelimit.test", 8081)
TLS: dict[str, Any] = {"tls_port": 443, "http3_port": 443, "certificates": Path("/tls")}


def _laid_out(edge: Edge) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(bootstrap_files(samples.BOOTSTRAP, edge)[BOOTSTRAP])
    return document


def _listeners(edge: Edge) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in _laid_out(edge)["static_resources"]["listeners"]}


def test_fills_in_address_and_port() -> None:
    """What is left is YAML without a placeholder, listening where it was told to."""
    edge = Edge(listen="::", port=81)
    assert _listeners(edge)["edge"]["address"] == {"socket_address": {"address": "::", "port_value": 81}}
    assert "$" not in "".join(bootstrap_files(samples.BOOTSTRAP, edge).values())


def test_scripts_are_put_in_their_places() -> None:
    """Envoy finds no file of theirs in the run folder; every listener has the text."""
    script = (samples.REPOSITORY / "extproc" / "compiler" / "lift_sse.lua").read_text()
    for http in _edges(Edge(**TLS)):
        (lift,) = [each["typed_config"] for each in http["http_filters"] if each["name"] == "lift_sse"]
        assert lift["default_source_code"] == {"inline_string": script}


@pytest.mark.parametrize(
    ("edge", "names"),
    [
        (Edge(), {"edge", "gate"}),
        (Edge(**TLS), {"edge", "gate", "edge_tls", "edge_quic"}),
        (Edge(**TLS, port=0), {"gate", "edge_tls", "edge_quic"}),
        (Edge(metrics_port=9465), {"edge", "gate", "metrics"}),
        (Edge(admin_port=8090), {"edge", "gate", "admin_api_plain"}),
        (Edge(admin_port=8090, admin_listen="::1"), {"edge", "gate", "admin_api_plain"}),
        (
            Edge(**TLS, admin_port=8090, admin_listen="0.0.0.0"),
            {"edge", "gate", "edge_tls", "edge_quic", "admin_api_tls"},
        ),
        (Edge(**{**TLS, "http3_port": 0}), {"edge", "gate", "edge_tls"}),
        (Edge(**TLS, client_ca=Path("/ca.crt")), {"edge", "gate", "edge_tls"}),
    ],
)
def test_there_are_the_listeners_that_are_wanted(edge: Edge, names: set[str]) -> None:
    """Without a port there is no listener, and with callers' certificates no HTTP/3, which would not ask for them."""
    assert _listeners(edge).keys() == names


@pytest.mark.parametrize("service", [SERVICE, None])
def test_who_counts_for_many_envoys_is_asked_where_there_is_one(service: tuple[str, int] | None) -> None:
    """The filter, on every listener, and the cluster of the service are there together or not at all."""
    resources = _laid_out(Edge(**TLS, ratelimit_service=service))["static_resources"]
    clusters = [cluster for cluster in resources["clusters"] if cluster["name"] == "ratelimit"]
    assert len(clusters) == bool(service)
    assert str(clusters).count("ratelimit.test") == bool(service)
    for listener in resources["listeners"]:
        (network_filter,) = listener["filter_chains"][0]["filters"]
        names = [each["name"] for each in network_filter["typed_config"]["http_filters"]]
        assert ("limit_everywhere" in names) == (bool(service) and listener["name"] != "gate")


def _edges(edge: Edge) -> list[dict[str, Any]]:
    """What the edge's listeners do with a connection."""
    listeners = [listener for name, listener in _listeners(edge).items() if name != "gate"]
    return [listener["filter_chains"][0]["filters"][0]["typed_config"] for listener in listeners]


@pytest.mark.parametrize("collector", [("otlp.test", 4317), None])
def test_spans_are_sent_where_somebody_collects_them(collector: tuple[str, int] | None) -> None:
    """Every listener traces as many requests as are wanted, and there is the collector's cluster; or neither."""
    edge = Edge(**TLS, collector=collector, trace_percent=7)
    clusters = [each for each in _laid_out(edge)["static_resources"]["clusters"] if each["name"] == "otlp"]
    assert len(clusters) == bool(collector)
    assert str(clusters).count("otlp.test") == bool(collector)
    sampled = [http["tracing"]["random_sampling"] for http in _edges(edge) if "tracing" in http]
    assert sampled == [{"value": 7}] * (3 if collector else 0)


@pytest.mark.parametrize("wanted", [True, False])
def test_the_access_log_is_there_where_it_is_wanted(wanted: bool) -> None:
    """Beside those that the sidecar and the journal need, which are always there."""
    for http in _edges(Edge(**TLS, access_log=wanted)):
        assert [log["name"] for log in http["access_log"]] == ["ends", "journal", *["stdout"] * wanted]


@pytest.mark.parametrize("edge", [Edge(admin_port=8090), Edge(**TLS, admin_port=8090, admin_listen="10.0.0.1"), Edge()])
def test_the_admin_api_has_its_listener_its_cluster_and_its_certificate(edge: Edge) -> None:
    """The cluster is there with the listener; what is not for this machine alone has the edge's transport socket."""
    resources = _laid_out(edge)["static_resources"]
    clusters = [each for each in resources["clusters"] if each["name"] == names.ADMIN_CLUSTER]
    assert len(clusters) == bool(edge.admin_port)
    assert str(clusters).count(f"'path': '{names.ADMIN_SOCKET}'") == bool(edge.admin_port)
    for name, listener in _listeners(edge).items():
        if name.startswith("admin_api"):
            address = {"address": edge.admin_listen, "port_value": 8090}
            assert listener["address"] == {"socket_address": address}
            (chain,) = listener["filter_chains"]
            tls = _listeners(edge)["edge_tls"]["filter_chains"][0]["transport_socket"] if edge.admin_tls else None
            assert chain.get("transport_socket") == tls


ISSUER = Jwt('https://id.test/"a"', "tollgate", '{"keys": [{"kty": "EC", "x": "ü\\n$"}]}')


@pytest.mark.parametrize("jwt", [ISSUER, None])
def test_a_jwt_is_looked_at_where_somebody_makes_them(jwt: Jwt | None) -> None:
    """Word for word as it was said, quotes and all; else there is no filter that would ask for one."""
    (listener,) = [each for name, each in _listeners(Edge(admin_port=8090, jwt=jwt)).items() if "admin" in name]
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    found = [each["typed_config"]["providers"]["issuer"] for each in filters if each["name"] == "jwt"]
    said = [(each["issuer"], each["audiences"], each["local_jwks"]["inline_string"]) for each in found]
    assert said == ([(jwt.issuer, [jwt.audience], jwt.jwks)] if jwt else [])
    assert [each["forward_payload_header"] for each in found] == ([names.JWT_PAYLOAD_HEADER] if jwt else [])


def test_all_listeners_of_the_edge_are_alike() -> None:
    """HTTP/3 differs in its codec alone; and all have their routes from one file, as they count there together."""
    listeners = _listeners(Edge(**TLS))
    plain, tls, quic = (
        listeners[name]["filter_chains"][0]["filters"][0]["typed_config"] for name in ("edge", "edge_tls", "edge_quic")
    )
    assert plain == tls
    assert {name for name in {*plain, *quic} if plain.get(name) != quic.get(name)} == {
        "codec_type",
        "http3_protocol_options",
    }
    assert plain["rds"]["route_config_name"] == "edge"
    (routes,) = yaml.safe_load(bootstrap_files(samples.BOOTSTRAP, Edge(**TLS))[ROUTES])["resources"]
    assert routes["name"] == "edge"
    assert "limit" in routes["virtual_hosts"][0]["typed_per_filter_config"]


@pytest.mark.parametrize("client_ca", [Path("/ca/ca.crt"), None])
def test_callers_need_a_certificate_exactly_where_somebody_vouches_for_them(client_ca: Path | None) -> None:
    """Asked for and checked are one thing: neither without the other."""
    edge = Edge(**TLS, client_ca=client_ca)
    context = _listeners(edge)["edge_tls"]["filter_chains"][0]["transport_socket"]["typed_config"]
    assert context["require_client_certificate"] is (client_ca is not None)
    assert ("/ca/ca.crt" in tls_files(edge)["tls/callers.json"]) is (client_ca is not None)


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


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_worker_is_an_endpoint(count: int) -> None:
    """The sidecar cluster has the sockets of all workers, relative to the run folder."""
    (assignment,) = yaml.safe_load(render_sidecar(count))["resources"]
    endpoints = assignment["endpoints"][0].get("lb_endpoints", [])
    paths = [endpoint["endpoint"]["address"]["pipe"]["path"] for endpoint in endpoints]
    assert paths == [worker_socket(index) for index in range(count)]
