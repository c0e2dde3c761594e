"""The composition root: the only file that sees every part. One worker is one process with one socket.

TOLLGATE_REDIS=URL python -m extproc.app --index 0 --data FOLDER
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import grpc
import structlog
import uvloop

from extproc import envoy_admin, metrics
from extproc.clock import now_ms
from extproc.core.identity import KeyRecord
from extproc.core.learned import Learned
from extproc.dialects.self_service import Totals
from extproc.errors import TollgateError
from extproc.index.index import Index
from extproc.index.where import By, Where
from extproc.process import configure_logging, told_to_stop
from extproc.settings import Settings, load_pepper, make_settings
from extproc.snapshot import Current
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.learned import run_sharing
from extproc.store.redis_ledger import RedisLedger
from extproc.store.sweeper import Lease, run_sweeper
from extproc.store.tasks import RedisTasks
from extproc.wire.admit import Admission
from extproc.wire.journal import Journal, run_journal
from extproc.wire.reports import Reports
from extproc.wire.self_service import SelfService
from extproc.wire.service import OPTIONS, Service
from extproc.wire.spool import Spool
from extproc.wire.task import TaskAnswers

GRACE_SECONDS = 5.0
"""How long a worker that is told to stop finishes what it has begun: an admission takes milliseconds."""

NOTICE_SECONDS = 2.5
"""How long Envoy may take to notice that a worker drains: it asks once a second."""

SWEEP_SECONDS = 10.0
"""How late a hold that nobody ended is expired, at most."""

SAMPLE_SECONDS = 1.0


async def run_worker(settings: Settings, index: int) -> None:
    """Serve until told to stop. Raises `ConfigError`.

    SIGTERM drains: Envoy is given time to notice and asks the other workers. SIGINT is for when Envoy has gone.
    """
    log = structlog.get_logger().bind(worker=index)
    current = Current(settings.run, index)
    connection = Connection(settings.redis_url)
    ledger = RedisLedger(connection)
    learned = Learned()
    spool = Spool(settings.spool, index)
    reports = Reports(ledger, learned, spool, now_ms)
    answers = TaskAnswers(RedisTasks(connection), reports, now_ms)
    usage = Index(settings.data / "index.sqlite", ZoneInfo(settings.time_zone))
    admission = _admission(settings, current, connection, ledger, learned, UsageOfKeys(usage, connection))
    service = Service(admission, answers, reports, now_ms)
    server = grpc.aio.server(options=OPTIONS)
    service.register(server)
    socket = settings.worker_socket(index)
    socket.unlink(missing_ok=True)
    server.add_insecure_port(f"unix:{socket}")
    if settings.worker_listen:
        server.add_insecure_port(settings.worker_listen)  # the kernel spreads connections over all workers there
    await server.start()
    sweeper = asyncio.create_task(run_sweeper(ledger, Lease(connection), SWEEP_SECONDS))
    replay = asyncio.create_task(reports.run())
    journal = asyncio.create_task(run_journal(_journal(settings), ledger, reports, now_ms))
    sharing = asyncio.create_task(run_sharing(connection, learned, now_ms))
    following = asyncio.create_task(current.follow())
    sampling = asyncio.create_task(_sample(spool))
    metrics.WORKERS.set(1)
    log.info("worker_started", revision=current.catalog.revision)

    told = await told_to_stop()
    service.draining = True
    if told == signal.SIGTERM:
        await asyncio.sleep(NOTICE_SECONDS)
    await server.stop(GRACE_SECONDS)
    for task in (sweeper, replay, journal, sharing, following, sampling):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    left = reports.drain()
    usage.close()
    await connection.aclose()
    log.info("worker_stopped", reports_left=left)


@dataclass(frozen=True, slots=True)
class UsageOfKeys:
    """The index, asked about one key at a time; what its owner's log has that is new is read first."""

    index: Index
    connection: Connection

    async def totals(self, key: KeyRecord, from_ms: int, until_ms: int) -> Totals:
        """Those of the key's requests from one moment on, and before another. Raises `LedgerUnavailable`."""
        where = Where(from_ms=from_ms, until_ms=until_ms, owner=key.owner, key_id=key.key_id)
        await self.index.fill_for(self.connection, where)
        (days, everything), (models, _) = await asyncio.gather(
            self.index.totals(where, By.DAY), self.index.totals(where, By.MODEL)
        )
        return Totals(days, models, everything)


def _admission(
    settings: Settings,
    current: Current,
    connection: Connection,
    ledger: RedisLedger,
    learned: Learned,
    usage: UsageOfKeys,
) -> Admission:
    zone = ZoneInfo(settings.time_zone)
    return Admission(
        catalog=lambda: current.catalog,
        keyring=RedisKeyring(connection),
        ledger=ledger,
        pepper=load_pepper(settings),
        now_ms=now_ms,
        draw=random.Random(),
        zone=zone,
        learned=learned,
        tasks=RedisTasks(connection),
        self_service=SelfService(ledger, usage, zone),
        currency=settings.currency,
    )


async def _sample(spool: Spool) -> None:
    """Tell the metrics how late this worker's tasks are woken, and what waits in its memory, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + SAMPLE_SECONDS
        await asyncio.sleep(SAMPLE_SECONDS)
        metrics.LOOP_LAG.observe(max(0.0, loop.time() - due))
        metrics.IN_MEMORY.set(spool.in_memory)


def _journal(settings: Settings) -> Journal:
    def reopen() -> None:
        envoy_admin.ask(settings.run / "admin.sock", "/reopen_logs", "POST")

    return Journal(settings.data, reopen)


def main() -> None:
    """Run one worker process; `tollgate up` and `tollgate serve` start these."""
    parser = argparse.ArgumentParser(prog="python -m extproc.app", description="One worker of the sidecar.")
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--listen", default="")
    args = parser.parse_args()
    configure_logging()
    try:
        settings = make_settings(Path(), args.data, os.environ["TOLLGATE_REDIS"])
        uvloop.run(run_worker(replace(settings, worker_listen=args.listen), args.index))
    except TollgateError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
