"""`python -m extproc.healthy`: exits 0 when every worker that Envoy is told of serves, for whoever runs the container.

It asks as Envoy does, for gRPC health over each Unix socket that the run folder names: who drains does not serve.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc

SECONDS = 3.0
_METHOD = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"
"""A HealthCheckResponse that says so, on the wire: field 1 is 1."""


def unhealthy(run: Path) -> Iterator[str]:
    """A sentence for each worker that does not serve. Raises `FileNotFoundError` before the run folder is written."""
    for socket in _sockets(run):
        with grpc.insecure_channel(f"unix:{run / socket}") as channel:
            try:
                said = channel.unary_unary(_METHOD, bytes, bytes)(b"", timeout=SECONDS, wait_for_ready=False)
            except grpc.RpcError as error:
                yield f"{socket}: {error.code().name}"
            else:
                if said != _SERVING:
                    yield f"{socket} does not serve"


def _sockets(run: Path) -> list[str]:
    (assignment,) = json.loads((run / "sidecar/sidecar.json").read_text())["resources"]
    locality = assignment["endpoints"][0]
    return [each["endpoint"]["address"]["pipe"]["path"] for each in locality["lb_endpoints"]]


def main() -> None:
    """Look in the data folder, `TOLLGATE_DATA`."""
    try:
        if wrong := [*unhealthy(Path(os.environ.get("TOLLGATE_DATA", ".data")) / "run")]:
            sys.exit("\n".join(wrong))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not there yet")


if __name__ == "__main__":
    main()
