"""Asks a running Envoy, over the Unix socket of its admin interface."""

import http.client
import socket
from pathlib import Path


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=2)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(admin_socket: Path, path: str, method: str = "GET") -> str:
    """The body of an admin answer. Raises `OSError` when Envoy is not there, or refuses."""
    connection = _UnixConnection(admin_socket)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"Envoy's admin interface said nothing useful: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise OSError(f"Envoy's admin interface answered {response.status} to {path}")
    return body


def stats(admin_socket: Path, names: str) -> dict[str, str]:
    """Envoy's statistics whose names match this regular expression."""
    lines = ask(admin_socket, f"/stats?filter={names}").splitlines()
    return {name: value.strip('"') for name, _, value in (line.partition(": ") for line in lines)}


def is_ready(admin_socket: Path, version: str, workers: int) -> bool:
    """Whether Envoy serves, with this version of the clusters loaded and so many workers healthy."""
    try:
        ask(admin_socket, "/ready")
        seen = stats(admin_socket, "cluster_manager.cds.version_text|warming_clusters|sidecar.membership_healthy")
    except OSError:
        return False
    return (
        seen.get("cluster_manager.cds.version_text") == version
        and seen.get("cluster_manager.warming_clusters") == "0"
        and int(seen.get("cluster.sidecar.membership_healthy", 0)) >= workers
    )
