"""Workers of other machines, by a name of which each address is one: Envoy is told as its DNS tells.

They are asked first, and the workers beside Envoy when too few of them answer. Envoy itself resolves no name in a file
of endpoints, and its health checks find out who has gone, so a name that does not resolve changes nothing.
"""

import asyncio
import socket
from pathlib import Path

import structlog

from extproc.compiler.bootstrap import Endpoint, render_sidecar
from extproc.compiler.install import SIDECAR
from extproc.errors import ConfigError
from extproc.snapshot import replace_file

log = structlog.get_logger()

LOOK_SECONDS = 2.0
"""How late a worker that has come is asked; one that has gone, Envoy notices by itself."""


def parse(text: str) -> Endpoint:
    """`NAME:PORT`. Raises `ConfigError`."""
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal()):
        raise ConfigError(f"{text!r} is not where other workers are: say NAME:PORT (--other-workers)")
    return host, int(port)


async def follow(run: Path, workers: int, host: str, port: int) -> None:
    """Write the endpoints of the sidecar cluster into a run folder whenever they change, until cancelled."""
    known: list[Endpoint] = []
    while True:
        found = await resolve(host, port)
        if found and found != known:
            known = found
            replace_file(run / SIDECAR, render_sidecar(workers, found).encode())
            log.info("other_workers", addresses=[address for address, _ in found])
        await asyncio.sleep(LOOK_SECONDS)


async def resolve(host: str, port: int) -> list[Endpoint]:
    """The addresses of a name, in order; none when it does not resolve."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({(str(address[0]), port) for *_, address in found})
