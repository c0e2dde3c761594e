"""Where things are: folders, ports, Redis. Each has a flag and an environment variable; nothing here is a rule."""

import ipaddress
import json
import os
import secrets
from dataclasses import dataclass, fields, replace
from pathlib import Path
from zoneinfo import available_timezones

from extproc.compiler.edge import Edge, Jwt, Limits
from extproc.core.money import Currency
from extproc.errors import ConfigError
from extproc.names import worker_socket

MAX_PORT = 65_535
MIN_DAYS = 5
"""The ledger may be told of a request's end up to three days after it began, and its entries must go together."""

MAX_DAYS = 36_500
MAX_SOCKET_PATH = 100
"""A Unix socket's path ends at 107 bytes; the folder's must leave room for the names in it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The places of one deployment on one machine, its edge, when its months begin, and a currency beside USD.

    Paths are absolute. `metrics_port` is the parent's, for metrics and health; 0 for none.
    """

    config: Path
    data: Path
    redis_url: str
    edge: Edge
    demo_port: int = 9100
    workers: int = 2
    time_zone: str = "UTC"
    usage_days: int = 0
    """How long usage is kept, 0 for always."""
    currency: Currency | None = None
    metrics_listen: str = "127.0.0.1"
    metrics_port: int = 9464
    worker_listen: str = ""
    """Where workers answer the Envoys of other machines as well, `HOST:PORT`."""
    other_workers: str = ""
    """Where the workers of other machines are found, `NAME:PORT`."""

    @property
    def base_url(self) -> str:
        """Where callers find the gateway; without TLS, if it is there without."""
        return f"http://{self.edge.listen}:{self.edge.port}" if self.edge.port else self.tls_url

    @property
    def tls_url(self) -> str:
        """Where they find it with TLS; empty where it has none."""
        return f"https://{self.edge.listen}:{self.edge.tls_port}" if self.edge.tls_port else ""

    @property
    def admin_url(self) -> str:
        """Where operators find the admin API; empty where there is none."""
        edge = self.edge
        host = f"[{edge.admin_listen}]" if ":" in edge.admin_listen else edge.admin_listen
        return f"{'https' if edge.admin_tls else 'http'}://{host}:{edge.admin_port}" if edge.admin_port else ""

    @property
    def run(self) -> Path:
        """Sockets and generated files; Envoy's working directory. Made anew at every start."""
        return self.data / "run"

    @property
    def metrics(self) -> Path:
        """The files in which the workers count. Made anew at every start."""
        return self.run / "metrics"

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.data / "logs"

    @property
    def spool(self) -> Path:
        """Where reports wait while the ledger is away."""
        return self.data / "spool"

    @property
    def embedded_redis(self) -> bool:
        """Whether Redis is `tollgate up`'s own, in the run folder."""
        return self.redis_url == embedded_redis_url(self.data)

    def worker_socket(self, index: int) -> Path:
        """Where worker `index` listens."""
        return self.run / worker_socket(index)

    def environment(self) -> dict[str, str]:
        """The environment, with the values the configuration may refer to."""
        return {**os.environ, "TOLLGATE_DEMO_PORT": str(self.demo_port)}


def make_settings(
    config: Path,
    data: Path,
    redis_url: str | None,
    listen: str = "127.0.0.1",
    port: int = 8080,
    demo_port: int = 9100,
    workers: int = 2,
    tls_port: int = 0,
    metrics_listen: str = "127.0.0.1",
    metrics_port: int = 9464,
    envoy_metrics_port: int = 9465,
    admin_port: int = 0,
) -> Settings:
    """Settings with absolute paths and, unless named, the embedded Redis; `TOLLGATE_TIME_ZONE` for when a month begins.

    Raises `ConfigError`.
    """
    folder = data.absolute()
    if len(str(folder)) > MAX_SOCKET_PATH - len("/run/worker-00.sock"):
        raise ConfigError(f"The data folder's path is too long for Unix sockets: {folder}\nSet a shorter one (--data).")
    url = redis_url or embedded_redis_url(folder)
    time_zone = os.environ.get("TOLLGATE_TIME_ZONE", "UTC")
    if time_zone not in available_timezones():
        raise ConfigError(f"TOLLGATE_TIME_ZONE: there is no time zone {time_zone!r}; say, for example, Europe/Berlin")
    edge = read_edge(folder, listen, port, tls_port, admin_port)
    return Settings(
        config=config.absolute(),
        data=folder,
        redis_url=url,
        edge=replace(edge, metrics_listen=metrics_listen, metrics_port=envoy_metrics_port),
        demo_port=demo_port,
        workers=workers,
        time_zone=time_zone,
        usage_days=read_usage_days(),
        currency=read_currency(),
        metrics_listen=metrics_listen,
        metrics_port=metrics_port,
    )


def read_edge(data: Path, listen: str, port: int, tls_port: int, admin_port: int = 0) -> Edge:
    """The edge at these ports; certificates, proxies before it and limits by the environment. Raises `ConfigError`."""
    if not port and not tls_port:
        raise ConfigError("The gateway has no port: set one with TLS (--tls-port) or one without (--port)")
    try:
        ipaddress.ip_address(listen)
    except ValueError:
        raise ConfigError(f"The gateway cannot listen on {listen!r}: say an address, such as 0.0.0.0") from None
    edge = _edge(data, listen, port, tls_port, admin_port)
    if edge.admin_tls and not tls_port:
        raise ConfigError(
            f"TOLLGATE_ADMIN_LISTEN: on {edge.admin_listen} the admin API needs TLS, with the certificate of the "
            "gateway, which has none: set a port with TLS (--tls-port), or listen on 127.0.0.1"
        )
    return edge


def _edge(data: Path, listen: str, port: int, tls_port: int, admin_port: int) -> Edge:
    client_ca = os.environ.get("TOLLGATE_CLIENT_CA")
    if client_ca and not Path(client_ca).is_file():
        raise ConfigError(f"TOLLGATE_CLIENT_CA: there is no file {client_ca}")
    return Edge(
        listen=listen,
        port=port,
        tls_port=tls_port,
        http3_port=_number("TOLLGATE_HTTP3_PORT", tls_port, 0, MAX_PORT),
        certificates=Path(os.environ.get("TOLLGATE_CERTIFICATES") or data / "tls").absolute(),
        client_ca=Path(client_ca).absolute() if client_ca else None,
        trusted_hops=_number("TOLLGATE_TRUSTED_HOPS", 0, 0, 16),
        ratelimit_service=_service("TOLLGATE_RATELIMIT_SERVICE"),
        collector=_service("TOLLGATE_OTLP"),
        trace_percent=_number("TOLLGATE_OTLP_PERCENT", 100, 1, 100),
        access_log=_is_json("TOLLGATE_ACCESS_LOG"),
        admin_listen=_address("TOLLGATE_ADMIN_LISTEN", "127.0.0.1"),
        admin_port=admin_port,
        jwt=_jwt(),
        limits=_limits(),
    )


def _limits() -> Limits:
    by_default = Limits()
    names = {each.name: 2**53 if each.name.endswith("_bytes") else 2**32 - 1 for each in fields(Limits)}
    return Limits(
        **{
            name: _number(f"TOLLGATE_{name.upper()}", getattr(by_default, name), most=most)
            for name, most in names.items()
        }
    )


def _number(name: str, default: int, least: int = 1, most: int = 2**53) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isdecimal() and least <= int(text) <= most):
        raise ConfigError(f"{name}: {text!r} is not a whole number from {least} to {most}")
    return int(text)


def _address(name: str, default: str) -> str:
    text = os.environ.get(name) or default
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is not an address, such as 127.0.0.1") from None


def _jwt() -> Jwt | None:
    """Whose JWTs the admin API takes. A file of keys, for Envoy is to reach nobody who could tell it others."""
    names = ("TOLLGATE_ADMIN_JWT_ISSUER", "TOLLGATE_ADMIN_JWT_AUDIENCE", "TOLLGATE_ADMIN_JWKS_FILE")
    issuer, audience, file = (os.environ.get(name, "") for name in names)
    if not (issuer or audience or file):
        return None
    if not (issuer and audience and file):
        raise ConfigError(f"{', '.join(names)} go together: without an audience, JWTs for others would count here")
    try:
        text = Path(file).read_text()
        if not json.loads(text)["keys"]:
            raise ValueError("no keys")
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{names[2]}: {file} is not a JWKS, such as {{'keys': […]}}") from None
    return Jwt(issuer, audience, text)


def _is_json(name: str) -> bool:
    text = os.environ.get(name, "")
    if text not in ("", "json"):
        raise ConfigError(f"{name}: {text!r} is not 'json'; leave it empty for no access log")
    return text == "json"


def _service(name: str) -> tuple[str, int] | None:
    text = os.environ.get(name)
    host, _, port = (text or "").rpartition(":")
    if text and not (host and port.isdecimal() and 0 < int(port) <= MAX_PORT):
        raise ConfigError(f"{name}: {text!r} is not HOST:PORT")
    return (host, int(port)) if text else None


def read_usage_days() -> int:
    """For how many days usage is kept, by `TOLLGATE_USAGE_DAYS`; 0 for always. Raises `ConfigError`."""
    days = _number("TOLLGATE_USAGE_DAYS", 0, least=0, most=MAX_DAYS)
    if 0 < days < MIN_DAYS:
        raise ConfigError(f"TOLLGATE_USAGE_DAYS: {days} is too few; say {MIN_DAYS} or more, or 0 to keep usage always")
    return days


def read_currency() -> Currency | None:
    """What amounts are shown in beside USD, by `TOLLGATE_CURRENCY`. Raises `ConfigError`."""
    text = os.environ.get("TOLLGATE_CURRENCY", "")
    try:
        return Currency.parse(text) if text else None
    except ValueError as error:
        raise ConfigError(f"TOLLGATE_CURRENCY: {error}") from None


def embedded_redis_url(data: Path) -> str:
    """Where the embedded Redis of this data folder listens."""
    return f"unix://{data}/run/redis.sock"


def load_pepper(settings: Settings) -> bytes:
    """The secret that key digests depend on: `TOLLGATE_PEPPER`, else the data folder's, made at first use.

    Losing it makes every key unknown; all workers and machines of a deployment must share it.
    """
    if given := os.environ.get("TOLLGATE_PEPPER"):
        return given.encode()
    return own_secret(settings.data / "pepper", secrets.token_hex(32)).encode()


def own_secret(path: Path, fresh: str) -> str:
    """What this file says, readable by its owner only; written with `fresh` when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(fresh)
    return fresh
