"""What `tollgate status` tells, from any terminal: what the parent says of the configuration, and who else is well.

The parent writes `live.json` into the run folder; workers say there what they decide by; they, Envoy and Redis are
asked. What waits is in the spool, the journal and the deadlines of holds.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import msgspec

from extproc import envoy_admin
from extproc.clock import now_ms
from extproc.errors import ConfigError, LedgerUnavailable
from extproc.names import ADMIN_SOCKET, SIDECAR_CLUSTER, worker_socket
from extproc.settings import Settings
from extproc.snapshot import read_adopted, replace_file
from extproc.store.connection import Connection
from extproc.store.durability import shortcomings
from extproc.store.live import live_holds
from extproc.wire import journal, spool
from extproc.wire.health import serves

PATIENCE_MS = 10_000
"""How long a change may be under way before something is wrong."""

BEHIND_MS = 60_000
"""How late a line of the journal may be read, and a hold expire, before something is wrong."""

_LIVE = "live.json"


class Live(msgspec.Struct, frozen=True):
    """What the parent says: which revision is live since when, and how the folder stands to it.

    `clusters` is the version that Envoy should have. `waiting_…` is of an edit that Envoy has yet to take up.
    """

    pid: int
    folder: str
    workers: int
    revision: str
    since_ms: int
    clusters: str
    problems: list[str]
    notes: list[str]
    waiting_revision: str | None
    waiting_since_ms: int | None


class Worker(msgspec.Struct, frozen=True):
    """One worker: whether its process runs and serves, whether Envoy finds it healthy, and what it decides by."""

    name: str
    running: bool
    serving: bool
    healthy: bool
    pid: int | None
    revision: str | None
    current: bool


class Envoy(msgspec.Struct, frozen=True):
    """Whether Envoy serves, and the version of the clusters it has."""

    serving: bool
    clusters: str | None
    says: str


class Redis(msgspec.Struct, frozen=True):
    """Whether Redis answers, why it does not, and what it may lose; how many holds are live, the first how overdue."""

    answers: bool
    says: str
    notes: list[str]
    holds: int = 0
    overdue_ms: int = 0


class Backlog(msgspec.Struct, frozen=True):
    """What waits on this machine: reports in the spool, and the journal's lines that are yet to be read."""

    reports: int
    journal_bytes: int
    journal_ms: int


class Status(msgspec.Struct, frozen=True):
    """All of it. `admin`: that service answers; `wrong`: a sentence for each thing that is not as it should be."""

    live: Live | None
    workers: list[Worker]
    admin: bool
    envoy: Envoy
    redis: Redis
    backlog: Backlog
    wrong: list[str]


def write_live(run: Path, live: Live) -> None:
    """Say it to whoever asks."""
    replace_file(run / _LIVE, msgspec.json.encode(live))


async def read_status(settings: Settings) -> Status:
    """How the deployment of this data folder is."""
    live = _read_live(settings.run)
    envoy, healthy = _ask_envoy(settings.run / "admin.sock")
    serving = await serving_workers(settings.run, live.workers if live else 0)
    workers = [_worker(settings.run, index, live, healthy, serving) for index in range(live.workers)] if live else []
    admin = await asyncio.to_thread(serves, settings.run / ADMIN_SOCKET)
    redis, backlog = await _ask_redis(settings.redis_url), _backlog(settings)
    wrong = _wrong(settings, live, workers, envoy, redis, backlog)
    wrong += ["The admin service does not answer; requests go on without it."] if live and not admin else []
    return Status(live, workers, admin, envoy, redis, backlog, wrong)


async def not_ready(settings: Settings, with_envoy: bool) -> list[str]:
    """Why requests would not be served, a sentence for each reason.

    An Envoy that has yet to take up an edit is ready all the same: it has the clusters from before.
    """
    serving = await serving_workers(settings.run, settings.workers)
    found = [f"worker-{index} does not serve." for index in range(settings.workers) if index not in serving]
    async with aclosing(Connection(settings.redis_url)) as connection:
        try:
            await connection.execute("PING")
        except LedgerUnavailable as error:
            found.append(_no_redis(error))
    if with_envoy:
        envoy, _ = await asyncio.to_thread(_ask_envoy, settings.run / "admin.sock")
        if not envoy.serving:
            found.append(envoy.says)
        elif not envoy.clusters:
            found.append("Envoy has no clusters yet.")
    return found


async def serving_workers(run: Path, workers: int) -> set[int]:
    """The workers that serve, by what they answer themselves."""
    answers = await asyncio.gather(*(asyncio.to_thread(serves, run / worker_socket(index)) for index in range(workers)))
    return {index for index, answer in enumerate(answers) if answer}


def _backlog(settings: Settings) -> Backlog:
    lag = journal.lag(settings.data)
    behind_ms = 0 if lag.since_ms is None else max(0, now_ms() - lag.since_ms)
    return Backlog(spool.waiting(settings.spool), lag.bytes, behind_ms)


def _read_live(run: Path) -> Live | None:
    """None when there is no parent."""
    try:
        live = msgspec.json.decode((run / _LIVE).read_bytes(), type=Live)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise ConfigError(f"{error.filename} cannot be read: ask as the user that runs tollgate.") from error
    return live if _runs(live.pid) else None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _worker(run: Path, index: int, live: Live, healthy: set[str], serving: set[int]) -> Worker:
    adopted = read_adopted(run, index)
    return Worker(
        name=f"worker-{index}",
        running=adopted is not None and _runs(adopted.pid),
        serving=index in serving,
        healthy=worker_socket(index) in healthy,
        pid=adopted.pid if adopted else None,
        revision=adopted.revision if adopted else None,
        current=adopted is not None and adopted.since_ms == live.since_ms,
    )


def _ask_envoy(admin_socket: Path) -> tuple[Envoy, set[str]]:
    """How Envoy is, and the sockets of the workers that it finds healthy."""
    try:
        version = envoy_admin.stats(admin_socket, "cds.version_text").get("cluster_manager.cds.version_text")
        hosts = envoy_admin.ask(admin_socket, f"/clusters?filter={SIDECAR_CLUSTER}").splitlines()
    except OSError as error:
        return Envoy(False, None, f"Envoy does not answer: {error.strerror or error}."), set()
    told = [line.split("::") for line in hosts if line.endswith("::health_flags::healthy")]
    healthy = {parts[1] for parts in told if parts[0] == SIDECAR_CLUSTER}
    try:
        envoy_admin.ask(admin_socket, "/ready")
    except OSError as error:
        return Envoy(False, version, f"Envoy is not ready: {error}."), healthy
    return Envoy(True, version, ""), healthy


async def _ask_redis(url: str) -> Redis:
    async with aclosing(Connection(url)) as connection:
        try:
            notes, holds = await shortcomings(connection), await live_holds(connection)
        except LedgerUnavailable as error:
            return Redis(False, _no_redis(error), [])
    return Redis(True, "", notes, holds.count, holds.overdue_ms(now_ms()))


def _no_redis(error: LedgerUnavailable) -> str:
    return f"Redis does not answer: {str(error).removeprefix('Redis: ').rstrip('.')}."


def _wrong(
    settings: Settings, live: Live | None, workers: list[Worker], envoy: Envoy, redis: Redis, backlog: Backlog
) -> list[str]:
    found = [] if live else [f"No tollgate runs with the data folder {settings.data}."]
    if live:
        found += _wrong_with_the_configuration(live)
        found += [said for worker in workers for said in _wrong_with(worker, live, envoy)]
    if not envoy.serving:
        found.append(envoy.says)
    elif live and envoy.clusters != live.clusters and _overdue(live.waiting_since_ms or live.since_ms):
        found.append(f"Envoy has the clusters {envoy.clusters}, not {live.clusters}.")
    return [*found, *_wrong_with_redis(redis), *_wrong_with_the_backlog(backlog)]


def _wrong_with_redis(redis: Redis) -> Iterator[str]:
    if not redis.answers:
        yield redis.says
    yield from redis.notes
    if redis.overdue_ms > BEHIND_MS:
        yield f"A hold should have expired {redis.overdue_ms // 1000} s ago, and nobody sweeps."


def _wrong_with_the_backlog(backlog: Backlog) -> Iterator[str]:
    if backlog.reports:
        yield f"Reports of ended requests wait in the spool to be settled: {backlog.reports}."
    if backlog.journal_ms > BEHIND_MS:
        yield f"Envoy's journal is read {backlog.journal_ms // 1000} s late, {backlog.journal_bytes} bytes behind."


def _wrong_with_the_configuration(live: Live) -> list[str]:
    if live.problems:
        return [f"{live.folder} is broken; what was accepted before stays live."]
    if live.waiting_since_ms is not None and _overdue(live.waiting_since_ms):
        return [f"Revision {live.waiting_revision} waits for Envoy to take up its clusters."]
    return []


def _wrong_with(worker: Worker, live: Live, envoy: Envoy) -> Iterator[str]:
    if not worker.running:
        yield f"{worker.name} does not run."
        return
    if not worker.serving:
        yield f"{worker.name} runs, but does not answer."
    elif envoy.serving and not worker.healthy:
        yield f"Envoy does not find {worker.name} healthy."
    if not worker.current and _overdue(live.since_ms):
        yield f"{worker.name} still decides by revision {worker.revision}."


def _overdue(since_ms: int) -> bool:
    return now_ms() - since_ms > PATIENCE_MS
