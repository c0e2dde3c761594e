"""The edge: where callers meet Envoy, by which certificates, and what it bears before anybody looks at who they are.

`envoy/envoy.yaml` has a placeholder for every value. The certificates come as secrets by file: Envoy looks at the file
that names them and at the folder that they are in, so certificates that are replaced are live for the next connection.
"""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from extproc.compiler.discovery import Json, discovery_file
from extproc.names import TLS_CERTIFICATE, TLS_KEY

CERTIFICATE_FILE: Final = "tls/certificate.json"
CALLERS_FILE: Final = "tls/callers.json"

_NOBODY: Final = ("127.0.0.1", 1)
_SECRET: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - its type


@dataclass(frozen=True, slots=True)
class Limits:
    """What Envoy bears. The first four are requests in a minute, counted by each Envoy for itself."""

    rate_per_credential: int = 6_000
    rate_per_credential_tasks: int = 600
    """Of those, on the paths of tasks."""
    rate_per_address: int = 12_000
    rate_per_address_admin: int = 600
    """Of those, on `/admin/`; and, counted by itself, of the admin API."""
    max_connections: int = 20_000
    """Open at a time, over TCP."""
    max_heap_bytes: int = 2 * 1024**3
    """Memory. From 85 % on Envoy gives back what it keeps, from 90 % it cuts the largest calls, at 95 % it refuses."""


@dataclass(frozen=True, slots=True)
class Jwt:
    """Whose JWTs the admin API takes: their `iss`, one of their `aud`, and, as text, the JWKS they are signed by."""

    issuer: str
    audience: str
    jwks: str


@dataclass(frozen=True, slots=True)
class Edge:
    """Where callers meet Envoy. A port of 0 is a listener that is not there."""

    listen: str = "127.0.0.1"
    port: int = 8080
    """Without TLS."""
    tls_port: int = 0
    """With TLS: TCP, and UDP for HTTP/3."""
    http3_port: int = 0
    """As callers see it, which need not be the one that Envoy listens on. 0: no HTTP/3."""
    certificates: Path = Path()
    """The folder of `tls.crt` and `tls.key`."""
    client_ca: Path | None = None
    """Who vouches for callers' certificates; without it they need none."""
    trusted_hops: int = 0
    """How many proxies before Envoy write x-forwarded-for."""
    ratelimit_service: tuple[str, int] | None = None
    """Host and port of the service that counts for many Envoys at once."""
    collector: tuple[str, int] | None = None
    """Host and port of who collects spans; without it there are none."""
    trace_percent: int = 100
    """Of requests that have spans."""
    metrics_listen: str = "127.0.0.1"
    metrics_port: int = 0
    """Of Envoy's own metrics. 0: nobody reads them."""
    access_log: bool = False
    """Whether Envoy tells of each request on standard output."""
    admin_listen: str = "127.0.0.1"
    admin_port: int = 0
    """Of the admin API, which has the edge's certificate unless it listens on loopback."""
    jwt: Jwt | None = None
    """Without it the admin API takes its own tokens alone."""
    limits: Limits = field(default_factory=Limits)

    @property
    def http3(self) -> bool:
        """Not with callers' certificates: Envoy 1.40.0 refuses a QUIC listener that asks for them with a CA by SDS."""
        return bool(self.tls_port and self.http3_port and self.client_ca is None)

    @property
    def admin_tls(self) -> bool:
        """Whether the admin API is told over TLS."""
        return bool(self.admin_port) and not ipaddress.ip_address(self.admin_listen).is_loopback

    def values(self) -> Mapping[str, str]:
        """What stands in the bootstrap for each placeholder."""
        host, port = self.ratelimit_service or _NOBODY
        collector, collector_port = self.collector or _NOBODY
        jwt = self.jwt or Jwt("", "", "")
        limits = {f"TOLLGATE_{each.name.upper()}": str(getattr(self.limits, each.name)) for each in fields(Limits)}
        return {
            "TOLLGATE_LISTEN": self.listen,
            "TOLLGATE_PORT": str(self.port),
            "TOLLGATE_TLS_PORT": str(self.tls_port),
            "TOLLGATE_ALT_SVC": f'h3=":{self.http3_port}"; ma=86400' if self.http3 else "",
            "TOLLGATE_CLIENT_CERTIFICATE": str(self.client_ca is not None).lower(),
            "TOLLGATE_TRUSTED_HOPS": str(self.trusted_hops),
            "TOLLGATE_RATELIMIT_HOST": host,
            "TOLLGATE_RATELIMIT_PORT": str(port),
            "TOLLGATE_METRICS_LISTEN": self.metrics_listen,
            "TOLLGATE_METRICS_PORT": str(self.metrics_port),
            "TOLLGATE_OTLP_HOST": collector,
            "TOLLGATE_OTLP_PORT": str(collector_port),
            "TOLLGATE_OTLP_PERCENT": str(self.trace_percent),
            "TOLLGATE_ADMIN_LISTEN": self.admin_listen,
            "TOLLGATE_ADMIN_PORT": str(self.admin_port),
            "TOLLGATE_ADMIN_JWT_ISSUER": _quoted(jwt.issuer),
            "TOLLGATE_ADMIN_JWT_AUDIENCE": _quoted(jwt.audience),
            "TOLLGATE_ADMIN_JWKS": _quoted(jwt.jwks),
            **limits,
        }

    def left_out(self) -> set[str]:
        """The names of what this edge does without: listeners, filters, clusters, access logs, and `tracing`."""
        there = {
            "edge": self.port,
            "edge_tls": self.tls_port,
            "edge_quic": self.http3,
            "limit_everywhere": self.ratelimit_service,
            "ratelimit": self.ratelimit_service,
            "metrics": self.metrics_port,
            "admin": self.metrics_port,
            "tracing": self.collector,
            "otlp": self.collector,
            "stdout": self.access_log,
            "admin_api": self.admin_port,
            "admin_api_plain": self.admin_port and not self.admin_tls,
            "admin_api_tls": self.admin_tls,
            "jwt": self.jwt,
        }
        return {name for name, wanted in there.items() if not wanted}


def _quoted(text: str) -> str:
    """What stands between the quotes in the YAML."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def tls_files(edge: Edge) -> dict[str, str]:
    """The files for SDS: where the certificate and its key are, and who vouches for callers."""
    if not edge.tls_port:
        return {}
    certificate = {
        "certificate_chain": {"filename": str(edge.certificates / TLS_CERTIFICATE)},
        "private_key": {"filename": str(edge.certificates / TLS_KEY)},
        "watched_directory": {"path": str(edge.certificates)},
    }
    return {
        CERTIFICATE_FILE: _secret("certificate", tls_certificate=certificate),
        CALLERS_FILE: _secret("callers", validation_context=_callers(edge.client_ca)),
    }


def _callers(client_ca: Path | None) -> Json:
    if client_ca is None:
        return {}
    return {"trusted_ca": {"filename": str(client_ca)}, "watched_directory": {"path": str(client_ca.parent)}}


def _secret(name: str, **content: Json) -> str:
    return discovery_file(name, [{"@type": _SECRET, "name": name, **content}])
