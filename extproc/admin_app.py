"""The process of the admin service: beside the workers, and on no request's path.

TOLLGATE_REDIS=URL python -m extproc.admin_app --data FOLDER

It has what only one process of a machine should do: the index of usage (`data/index.sqlite`). Its socket is for Envoy.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import grpc
import structlog
import uvloop

from extproc.admin.authenticate import Authentication
from extproc.admin.parts import Parts
from extproc.admin.server import Server
from extproc.admin.service import Admin
from extproc.clock import now_ms
from extproc.errors import LedgerUnavailable, TollgateError
from extproc.index.index import Index
from extproc.index.retention import run_retention
from extproc.names import ADMIN_SOCKET
from extproc.process import configure_logging, told_to_stop
from extproc.settings import Settings, load_pepper, make_settings
from extproc.snapshot import Current
from extproc.store.connection import Connection
from extproc.wire.health import health_handler

GRACE_SECONDS = 3.0
"""How long what is under way may take to end; who follows is cut."""

PRIVATE = 0o600

FILL_SECONDS = 5.0

log = structlog.get_logger()


async def run_admin(settings: Settings) -> None:
    """Serve until told to stop. Raises `ConfigError`."""
    current = Current(settings.run)
    connection = Connection(settings.redis_url)
    zone = ZoneInfo(settings.time_zone)
    parts = Parts.over(connection, lambda: current.catalog, load_pepper(settings), now_ms, zone)
    index = Index(settings.data / "index.sqlite", zone)
    jwt = settings.edge.jwt is not None
    serving = True
    server = grpc.aio.server()
    Server(Admin(parts, index), Authentication(parts.tokens, parts.pepper, now_ms, jwt)).register(server)
    server.add_generic_rpc_handlers((health_handler(lambda: serving),))
    socket = settings.run / ADMIN_SOCKET
    socket.unlink(missing_ok=True)
    server.add_insecure_port(f"unix:{socket}")
    socket.chmod(PRIVATE)
    await server.start()
    retention = run_retention(connection, index, settings.usage_days, now_ms)
    meanwhile = [asyncio.create_task(each) for each in (current.follow(), _keep_filled(index, connection), retention)]
    log.info("admin_started", revision=current.catalog.revision, jwt=jwt)

    await told_to_stop()
    serving = False
    await server.stop(GRACE_SECONDS)
    for task in meanwhile:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    index.close()
    await connection.aclose()
    log.info("admin_stopped")


async def _keep_filled(index: Index, connection: Connection) -> None:
    """Read the logs again and again, so that a question finds little to read first; until cancelled."""
    while True:
        try:
            await index.fill(connection)
        except LedgerUnavailable as error:
            log.warning("index_not_filled", error=str(error))
        except Exception:
            log.exception("index_not_filled")
        await asyncio.sleep(FILL_SECONDS)


def main() -> None:
    """Run the process; `tollgate up` and `tollgate serve` start it."""
    parser = argparse.ArgumentParser(prog="python -m extproc.admin_app", description="The admin service.")
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    configure_logging()
    os.umask(0o077)  # its socket and its index are its owner's alone
    try:
        uvloop.run(run_admin(make_settings(Path(), args.data, os.environ["TOLLGATE_REDIS"])))
    except TollgateError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
