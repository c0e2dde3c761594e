"""Catalog → Envoy clusters: one per channel, two where its requests are limited. Its filters are in `channel_filters`.

A cluster without a usable host ends the chain: Envoy answers 503 at once and never asks the next channel (seen on
1.40.0 for a name that does not resolve, and for a host that outlier detection has ejected). So each cluster has a
second endpoint, used when the first has no host left, that refuses: a connect failure moves on to the next channel.

A request above a cluster's limit is refused for good, too. So a limited channel has two clusters:

    channel_x, which has its filters ─▶ the gate, a listener in envoy.yaml ─▶ limited_channel_x, which counts ─▶ vendor
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCustomClusterType,
    OutlierDetection,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    DataSource,
    EnvoyInternalAddress,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    SocketAddress,
    TransportSocket,
)
from envoy_data_plane.envoy.config.core.v3 import HttpProtocolOptions as CommonProtocolOptions
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    ClusterLoadAssignmentPolicy,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.extensions.clusters.common.dns.v3 import DnsLookupFamily
from envoy_data_plane.envoy.extensions.clusters.dns.v3 import DnsCluster
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsAutoHttpConfig,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from extproc.compiler.channel_filters import secret_path, upstream_filters
from extproc.compiler.discovery import Json, as_json, discovery_file, pack
from extproc.core.catalog import Catalog, Channel, SecretRef
from extproc.errors import ConfigError
from extproc.names import CHANNEL_CLUSTER_PREFIX, GATE_LISTENER, LIMITED_CLUSTER_PREFIX, METADATA_NAMESPACE

CA_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
CONNECT_TIMEOUT: Final = timedelta(seconds=5)
IDLE_TIMEOUT: Final = timedelta(seconds=30)
"""Shorter than vendors keep idle connections: a request on one that the vendor is closing fails, and goes elsewhere."""

DNS_REFRESH: Final = timedelta(seconds=30)
REFUSING: Final = ("127.0.0.1", 1)

_PROTOCOL: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_ALL_HEALTHY: Final = 100_000
"""Percent. By default Envoy moves a part of the load to the next priority when a third of the hosts is ejected, and the
next priority here refuses. With this factor one healthy host in a thousand takes it all."""

_UNLIMITED: Final = 100_000
"""Envoy's defaults are 1,024 requests and connections and 3 retries at a time, for a whole channel."""


@dataclass(frozen=True, slots=True)
class _Upstream:
    """Where a `base_url` points. `authority` is what the vendor is told as Host, and over TLS also the name of its
    certificate, which has no port."""

    host: str
    port: int
    tls: bool
    authority: str

    @classmethod
    def of(cls, channel: Channel) -> "_Upstream":
        url = urlsplit(channel.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(f"channel {channel.name}: base_url must be http(s)://host…, not {channel.base_url!r}")
        tls = url.scheme == "https"
        port = url.port or (443 if tls else 80)
        return cls(url.hostname, port, tls, url.hostname if tls else url.netloc)

    @property
    def is_address(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def compile_clusters(catalog: Catalog, kept: Mapping[str, Json] = MappingProxyType({})) -> str:
    """The file for CDS. Same input, same bytes; `version_info` begins with the catalog's revision.

    `kept` are clusters of earlier catalogs, by name, for requests that were admitted by those.
    """
    compiled = {name: each for channel in catalog.channels.values() for name, each in _clusters(channel).items()}
    return discovery_file(catalog.revision, [each for _, each in sorted({**kept, **compiled}.items())])


def _clusters(channel: Channel) -> dict[str, Json]:
    """The clusters of a channel by name: those of a channel like it, with this one's names in their places."""
    like = _like(channel)
    names = dict(zip(_names(like), _names(channel), strict=True))
    return {str(names[name]): _renamed(cluster, names) for name, cluster in compiled(like).items()}


def _like(channel: Channel) -> Channel:
    """A channel that compiles alike. Few of them stand for all: envoy-data-plane takes 30 ms for one."""
    upstream = _Upstream.of(channel)
    host = "192.0.2.1" if upstream.is_address else "like.invalid"
    return replace(
        channel,
        name="like",
        base_url=f"{'https' if upstream.tls else 'http'}://{host}:50001",
        credential=channel.credential and SecretRef("env", "LIKE"),
        models=MappingProxyType({}),
        max_concurrent=50_002 if channel.max_concurrent else 0,
    )


def _names(channel: Channel) -> tuple[str | int, ...]:
    """All that is in the clusters of one channel, and not in those of one that compiles alike: no other value is."""
    upstream, stat_name = _Upstream.of(channel), CHANNEL_CLUSTER_PREFIX + channel.name
    stat_names = (stat_name, LIMITED_CLUSTER_PREFIX + stat_name)
    where = (upstream.host, upstream.port, upstream.authority, channel.max_concurrent or _UNLIMITED)
    return (channel.name, *channel.clusters, *stat_names, secret_path(channel), *where)


def _renamed(value: Any, names: Mapping[Any, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value)


@lru_cache
def compiled(channel: Channel) -> dict[str, Json]:
    """The clusters of one channel by name, from messages. Nobody may change what this gives."""
    name, stat_name = channel.cluster, CHANNEL_CLUSTER_PREFIX + channel.name
    if not channel.max_concurrent:
        return {name: _with_filters(channel, _vendor(channel, name, stat_name))}
    _, limited = channel.clusters
    return {
        name: _with_filters(channel, _gate(channel, name, stat_name)),
        limited: as_json(pack(_vendor(channel, limited, LIMITED_CLUSTER_PREFIX + stat_name))),
    }


def _vendor(channel: Channel, name: str, stat_name: str) -> Cluster:
    upstream = _Upstream.of(channel)
    return Cluster(
        name=name,
        alt_stat_name=stat_name,
        cluster_type=None if upstream.is_address else _resolved(),
        connect_timeout=CONNECT_TIMEOUT,
        load_assignment=_endpoints(name, upstream),
        circuit_breakers=_limits(channel.max_concurrent or _UNLIMITED),
        outlier_detection=_circuit_breaker(),
        transport_socket=_tls(channel, upstream) if upstream.tls else None,
        typed_extension_protocol_options={_PROTOCOL: pack(_protocol(upstream.tls))},
    )


def _gate(channel: Channel, name: str, stat_name: str) -> Cluster:
    """What Envoy refuses for a limit of a cluster it never retries; what the gate refuses is an answer, so it does."""
    gate = EnvoyInternalAddress(server_listener_name=GATE_LISTENER, endpoint_id=channel.name)
    endpoint = Endpoint(address=Address(envoy_internal_address=gate), hostname=_Upstream.of(channel).authority)
    return Cluster(
        name=name,
        alt_stat_name=stat_name,
        load_assignment=ClusterLoadAssignment(
            cluster_name=name, endpoints=[LocalityLbEndpoints(lb_endpoints=[LbEndpoint(endpoint=endpoint)])]
        ),
        circuit_breakers=_limits(_UNLIMITED),
        typed_extension_protocol_options={_PROTOCOL: pack(_protocol(tls=False))},
    )


def _with_filters(channel: Channel, cluster: Cluster) -> Json:
    """The filters are added as JSON: envoy-data-plane 2.2.0 does not have all their fields.

    The channel's name is there for spans and the access log, which know the cluster alone.
    """
    document = as_json(pack(cluster))
    document["metadata"] = {"filter_metadata": {METADATA_NAMESPACE: {"channel": channel.name}}}
    document["typed_extension_protocol_options"][_PROTOCOL]["http_filters"] = upstream_filters(channel)
    return document


def _resolved() -> ClusterCustomClusterType:
    """A host for each address of the name, asked for again while Envoy runs."""
    dns = DnsCluster(dns_refresh_rate=DNS_REFRESH, respect_dns_ttl=True, dns_lookup_family=DnsLookupFamily.V4_PREFERRED)
    return ClusterCustomClusterType(name="envoy.clusters.dns", typed_config=pack(dns))


def _endpoints(name: str, upstream: _Upstream) -> ClusterLoadAssignment:
    return ClusterLoadAssignment(
        cluster_name=name,
        endpoints=[
            LocalityLbEndpoints(lb_endpoints=[_endpoint(upstream.host, upstream.port, upstream.authority)]),
            LocalityLbEndpoints(priority=1, lb_endpoints=[_endpoint(*REFUSING)]),
        ],
        policy=ClusterLoadAssignmentPolicy(overprovisioning_factor=_ALL_HEALTHY),
    )


def _endpoint(host: str, port: int, hostname: str = "") -> LbEndpoint:
    address = Address(socket_address=SocketAddress(address=host, port_value=port))
    return LbEndpoint(endpoint=Endpoint(address=address, hostname=hostname))


def _limits(requests: int) -> CircuitBreakers:
    return CircuitBreakers(
        thresholds=[
            CircuitBreakersThresholds(
                max_connections=_UNLIMITED,
                max_pending_requests=_UNLIMITED,
                max_requests=requests,
                max_retries=_UNLIMITED,
            )
        ]
    )


def _circuit_breaker() -> OutlierDetection:
    """Eject a host after three 5xx in a row, the last one too, but no host for refusing: that is what one is for."""
    return OutlierDetection(
        consecutive_5xx=3,
        interval=timedelta(seconds=1),
        base_ejection_time=timedelta(seconds=30),
        max_ejection_percent=100,
        split_external_local_origin_errors=True,
        enforcing_consecutive_local_origin_failure=0,
        enforcing_local_origin_success_rate=0,
    )


def _tls(channel: Channel, upstream: _Upstream) -> TransportSocket:
    """TLS to the name of the endpoint that is tried: it is the SNI, and the certificate must carry it.

    An address is no SNI, and Envoy then compares nothing: it is said what the certificate must carry.
    """
    named = not upstream.is_address
    trusted = CertificateValidationContext(trusted_ca=DataSource(filename=channel.ca_file or CA_BUNDLE))
    if not named:
        trusted.match_typed_subject_alt_names = [_address(upstream.host)]
    context = UpstreamTlsContext(
        auto_host_sni=named,
        auto_sni_san_validation=named and not channel.insecure_tls,
        common_tls_context=CommonTlsContext(validation_context=None if channel.insecure_tls else trusted),
    )
    return TransportSocket(name="tls", typed_config=pack(context))


def _address(host: str) -> SubjectAltNameMatcher:
    return SubjectAltNameMatcher(
        san_type=SubjectAltNameMatcherSanType.IP_ADDRESS, matcher=StringMatcher(exact=str(ipaddress.ip_address(host)))
    )


def _protocol(tls: bool) -> HttpProtocolOptions:
    common = CommonProtocolOptions(idle_timeout=IDLE_TIMEOUT)
    if not tls:
        plain = HttpProtocolOptionsExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions())
        return HttpProtocolOptions(common_http_protocol_options=common, explicit_http_config=plain)
    negotiated = HttpProtocolOptionsAutoHttpConfig(
        http_protocol_options=Http1ProtocolOptions(), http2_protocol_options=Http2ProtocolOptions()
    )
    return HttpProtocolOptions(common_http_protocol_options=common, auto_config=negotiated)
