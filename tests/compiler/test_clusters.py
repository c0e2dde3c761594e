"""What holds for every cluster and secret, whatever the catalog."""

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import yaml

from extproc.compiler.channel_filters import compile_secrets
from extproc.compiler.clusters import REFUSING, compile_clusters, compiled
from extproc.core.catalog import Channel
from extproc.errors import ConfigError
from extproc.names import CREDENTIAL_HEADERS, GATE_HEADER, GATE_LISTENER, LIMITED_CLUSTER_PREFIX
from tests.compiler.samples import catalog_of, channel_of

A = channel_of("a", "https://a.example/v1", "env:KEY_OF_A")
B = channel_of("b", "http://10.0.0.2:9000", "file:/secrets/b", dialect="anthropic")
C = channel_of("c", "http://c.example", dialect="gemini")

_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _clusters(*channels: Any) -> list[dict[str, Any]]:
    document: dict[str, Any] = yaml.safe_load(compile_clusters(catalog_of(*channels)))
    resources: list[dict[str, Any]] = document["resources"]
    return resources


def _filters(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    filters = cluster["typed_extension_protocol_options"][_OPTIONS]["http_filters"]
    return {item["name"]: item["typed_config"] for item in filters}


def test_same_catalog_same_bytes() -> None:
    """The order in which channels were read does not show: Envoy would load the same clusters again."""
    assert len({compile_clusters(catalog_of(*order)) for order in permutations((A, B, C))}) == 1


def test_version_names_revision_and_content() -> None:
    """`version_info` begins with the revision, and differs where one revision comes to mean something else."""
    versions = [yaml.safe_load(compile_clusters(catalog_of(channel)))["version_info"] for channel in (A, B)]
    assert all(version.startswith("r1-") for version in versions)
    assert versions[0] != versions[1]


@pytest.mark.parametrize("cluster", _clusters(A, B, C), ids=lambda cluster: cluster["name"])
def test_first_filter_removes_every_credential(cluster: dict[str, Any]) -> None:
    """Attempts share their headers: what a caller or the last channel put there is gone before anything is added."""
    filters = _filters(cluster)
    assert next(iter(filters)) == "clean"
    removed = {change.get("remove") for change in filters["clean"]["mutations"]["request_mutations"]}
    assert set(CREDENTIAL_HEADERS) <= removed


@pytest.mark.parametrize("cluster", _clusters(A, B, C), ids=lambda cluster: cluster["name"])
def test_order_of_filters(cluster: dict[str, Any]) -> None:
    """The Lua checks that a credential was injected, so it stands behind; the codec is last, as Envoy demands."""
    expected = ["clean", "credential", "path_and_model", "upstream_codec"]
    if cluster["name"] == C.cluster:
        expected.remove("credential")
    assert list(_filters(cluster)) == expected


def test_credential_goes_into_the_dialects_header() -> None:
    """OpenAI's vendors want a bearer token, Anthropic's and Gemini's a header of their own; the Lua is told which."""
    gemini = channel_of("g", "http://g.example", "env:G", dialect="gemini")
    seen = {}
    for cluster in _clusters(A, B, gemini):
        filters = _filters(cluster)
        generic = filters["credential"]["credential"]["typed_config"]
        told = filters["path_and_model"]["filter_context"]["credential_header"]
        seen[cluster["alt_stat_name"]] = (generic["header"], generic.get("header_value_prefix", ""), told)
    assert seen == {
        "channel_a": ("authorization", "Bearer ", "authorization"),
        "channel_b": ("x-api-key", "", "x-api-key"),
        "channel_g": ("x-goog-api-key", "", "x-goog-api-key"),
    }


@pytest.mark.parametrize("cluster", _clusters(A, B, C), ids=lambda cluster: cluster["name"])
def test_no_channel_is_a_dead_end(cluster: dict[str, Any]) -> None:
    """Behind the vendor stands an endpoint that refuses, so that a chain goes on when the vendor has no host."""
    vendor, last = cluster["load_assignment"]["endpoints"]
    address = last["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert (address["address"], address["port_value"]) == REFUSING
    assert (vendor.get("priority", 0), last["priority"]) == (0, 1)


@pytest.mark.parametrize("cluster", _clusters(A, B, C), ids=lambda cluster: cluster["name"])
def test_outlier_detection_is_spelled_as_envoy_does(cluster: dict[str, Any]) -> None:
    """betterproto2 writes `consecutive_5_xx`, which a file CDS would ignore in silence."""
    assert cluster["outlier_detection"]["consecutive_5xx"] == 3
    assert "5_xx" not in str(cluster)


@pytest.mark.parametrize(
    ("base_url", "host", "port", "authority"),
    [
        ("https://v.example/v1", "v.example", 443, "v.example"),
        ("https://v.example:8443", "v.example", 8443, "v.example"),
        ("http://v.example", "v.example", 80, "v.example"),
        ("http://v.example:81/x", "v.example", 81, "v.example:81"),
        ("http://[::1]:9", "::1", 9, "[::1]:9"),
    ],
)
def test_where_a_base_url_points(base_url: str, host: str, port: int, authority: str) -> None:
    """Host names the port over plain HTTP; over TLS it is the name of the certificate, which has none."""
    (cluster,) = _clusters(channel_of("v", base_url))
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    address = endpoint["address"]["socket_address"]
    assert (address["address"], address["port_value"], endpoint["hostname"]) == (host, port, authority)
    assert ("transport_socket" in cluster) == base_url.startswith("https")


LIMITED = replace(A, max_concurrent=3)


def test_a_limited_channel_has_a_second_cluster_that_counts() -> None:
    """The first makes the request the vendor's and leads to the gate; only the second knows vendor and limit."""
    outer, inner = _clusters(LIMITED)
    (plain,) = _clusters(A)
    gate = outer["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert gate["address"]["envoy_internal_address"]["server_listener_name"] == GATE_LISTENER
    assert gate["hostname"] == "a.example"
    told = _filters(outer)["clean"]["mutations"]["request_mutations"][-1]["append"]
    assert told["header"] == {"key": GATE_HEADER, "value": inner["name"]}
    assert inner["name"] == LIMITED_CLUSTER_PREFIX + outer["name"]
    assert LIMITED.clusters == (outer["name"], inner["name"])
    assert A.clusters == (plain["name"],)
    assert _requests(inner) == 3
    assert _requests(outer) == _requests(plain) > 10_000
    for part in ("outlier_detection", "transport_socket", "cluster_type"):
        assert part not in outer
        assert inner[part] == plain[part]
    assert "http_filters" not in inner["typed_extension_protocol_options"][_OPTIONS]


def test_a_channel_that_comes_to_be_limited_is_another_cluster() -> None:
    """Else requests would go to the gate before there is a second cluster. A change of the number is made in place."""
    assert LIMITED.cluster != A.cluster
    assert LIMITED.cluster == replace(A, max_concurrent=4).cluster


def _requests(cluster: dict[str, Any]) -> int:
    (threshold,) = cluster["circuit_breakers"]["thresholds"]
    limit: int = threshold["max_requests"]
    return limit


@pytest.mark.parametrize(
    "channel",
    [
        A,
        B,
        channel_of("like", "http://like.invalid:50001", "env:LIKE"),
        channel_of("port-1", "http://vendor.example:1", dialect="anthropic"),
        channel_of("port-3", "https://vendor.example:3/v1", "env:X", "gemini"),
        channel_of("numbered", "https://192.0.2.9:8443/v1", "env:X"),
        replace(channel_of("own-ca", "https://vendor.example"), ca_file="/etc/ca.pem"),
        replace(channel_of("trusting", "https://vendor.example", "env:X"), insecure_tls=True),
        channel_of("six", "http://[2001:db8::1]:100"),
        replace(channel_of("true", "http://192.0.2.7:1000", "env:X"), max_concurrent=1),
        replace(channel_of("openai", "https://openai", "env:X"), max_concurrent=100),
        replace(channel_of("clean", "https://clean"), max_concurrent=50_001),
    ],
    ids=lambda channel: channel.name,
)
def test_a_channel_like_another_compiles_as_by_itself(channel: Channel) -> None:
    """What was compiled for one channel and renamed for another is what the other's own messages say."""
    renamed = {one["name"]: one for one in _clusters(channel)}
    assert renamed == compiled(channel)
    assert json.dumps(renamed, sort_keys=True) == json.dumps(compiled(channel), sort_keys=True)  # 1 is no True


def test_names_are_resolved_and_addresses_are_not() -> None:
    """A name is resolved again and again while Envoy runs; an address is a static cluster."""
    named, numbered = _clusters(A, B)
    assert named["cluster_type"]["name"] == "envoy.clusters.dns"
    assert "cluster_type" not in numbered


def test_secrets_say_where_and_not_what(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is a reference that Envoy resolves: its value never passes through Python."""
    monkeypatch.setenv("KEY_OF_A", "sk-canary")
    files = compile_secrets(catalog_of(A, B, C))
    sources = {name: yaml.safe_load(text)["resources"][0]["generic_secret"]["secret"] for name, text in files.items()}
    assert sources == {
        f"{A.cluster}.json": {"environment_variable": "KEY_OF_A"},
        f"{B.cluster}.json": {"filename": "/secrets/b"},
    }
    assert "sk-canary" not in "".join(files.values())


@pytest.mark.parametrize("credential", ["file:relative/key", "vault:key"])
def test_a_credential_envoy_could_not_find_is_refused(credential: str) -> None:
    """Envoy would look for a relative file in the run folder."""
    with pytest.raises(ConfigError, match="channel x: credential must be env:NAME or file:/absolute/path"):
        compile_secrets(catalog_of(channel_of("x", "http://x.example", credential)))


def test_a_base_url_without_a_host_is_refused() -> None:
    """The message names the channel."""
    with pytest.raises(ConfigError, match="channel x: base_url must be http"):
        compile_clusters(catalog_of(channel_of("x", "ftp://x.example")))
