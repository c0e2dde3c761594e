"""Where things are: folders, ports, Redis. Each has a flag and an environment variable; nothing here is a rule."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import available_timezones

from extproc.core.money import Currency
from extproc.errors import ConfigError
from extproc.names import worker_socket

MAX_SOCKET_PATH = 100
"""A Unix socket's path ends at 107 bytes; the folder's must leave room for the names in it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The places and ports of one deployment on one machine, when its months begin, and a currency beside USD.

    Paths are absolute. `metrics_port` is the parent's, for metrics and health. Either port for metrics may be 0: none.
    """

    config: Path
    data: Path
    redis_url: str
    listen: str = "127.0.0.1"
    port: int = 8080
    demo_port: int = 9100
    workers: int = 2
    time_zone: str = "UTC"
    currency: Currency | None = None
    metrics_listen: str = "127.0.0.1"
    metrics_port: int = 9464
    envoy_metrics_port: int = 9465

    @property
    def base_url(self) -> str:
        """Where callers find the gateway."""
        return f"http://{self.listen}:{self.port}"

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
    metrics_listen: str = "127.0.0.1",
    metrics_port: int = 9464,
    envoy_metrics_port: int = 9465,
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
    return Settings(
        config=config.absolute(),
        data=folder,
        redis_url=url,
        listen=listen,
        port=port,
        demo_port=demo_port,
        workers=workers,
        time_zone=time_zone,
        currency=read_currency(),
        metrics_listen=metrics_listen,
        metrics_port=metrics_port,
        envoy_metrics_port=envoy_metrics_port,
    )


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
