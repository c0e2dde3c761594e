"""What only the parent knows, the process that `tollgate up` or `tollgate serve` is; and all metrics together.

No worker imports this, or it would count here too.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

disable_created_metrics()  # type: ignore[no-untyped-call]  # nobody asks when a counter came to be

PARENT = CollectorRegistry()


def _gauge(name: str, says: str) -> Gauge:
    """Not a number until the parent knows: no alert takes that for a 0."""
    gauge = Gauge(name, says, registry=PARENT)
    gauge.set(math.nan)
    return gauge


# --- The ledger, and what waits for it --------------------------------------------------------------------------------

REDIS_UP = _gauge("tollgate_redis_up", "1 if Redis answers the parent.")
REDIS_WARNINGS = _gauge("tollgate_redis_warnings", "What of Redis may lose money: `tollgate status` says what.")
HOLDS_LIVE = _gauge("tollgate_holds_live", "Holds that have not ended, of the whole deployment.")
OLDEST_HOLD = _gauge("tollgate_hold_oldest_age_seconds", "Age of the oldest of them, 0 for none.")
OVERDUE = _gauge("tollgate_hold_overdue_seconds", "How long ago the first should have expired, 0 if none should have.")
WAITING = _gauge("tollgate_reports_waiting", "Reports that wait in the spool's files.")
JOURNAL_LAG_BYTES = _gauge("tollgate_journal_lag_bytes", "How much of Envoy's journal is yet to be read.")
JOURNAL_LAG = _gauge(
    "tollgate_journal_lag_seconds", "How old its first line is that is yet to be read. Some 6 are meant."
)

# --- Processes and configuration --------------------------------------------------------------------------------------

WORKERS_SERVING = _gauge("tollgate_workers_serving", "Workers that serve, by what they answer over gRPC.")
WORKERS_WANTED = _gauge("tollgate_workers_wanted", "Workers that should.")
RESTARTS = Counter("tollgate_child_restarts_total", "Processes started again.", ["child"], registry=PARENT)
CONFIG = Info("tollgate_config", "The revision of the YAML that is live.", registry=PARENT)
RELOADS = Counter("tollgate_reloads_total", "Edits of the YAML: live, or refused.", ["result"], registry=PARENT)
RELOAD_SUCCESS = _gauge("tollgate_reload_last_success_timestamp_seconds", "When what is live went live, as Unix time.")
RELOAD_FAILED = _gauge("tollgate_reload_failed", "1 while the YAML is broken, and an earlier revision is live.")
RELOAD_WAITING = _gauge("tollgate_reload_waiting", "1 while an edit waits for Envoy to take up its clusters.")

for _result in ("live", "refused"):
    RELOADS.labels(_result)


@contextlib.contextmanager
def collected(folder: Path) -> Iterator[CollectorRegistry]:
    """What the parent knows, and the sums of what all workers wrote into this folder."""
    workers = MultiProcessCollector(PARENT, path=str(folder))  # type: ignore[no-untyped-call]
    try:
        yield PARENT
    finally:
        PARENT.unregister(workers)


def forget_worker(folder: Path, pid: int) -> None:
    """A worker has ended: its gauges go, what it counted stays."""
    mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
