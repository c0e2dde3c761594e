"""What the workers count, once: each metric's name, its labels and what it tells. The table in docs/observability.md is
made from here and from `extproc.parent_metrics`, and the alerts in deploy/prometheus name nothing else.

Each worker counts into files of its own in the run folder, and the parent adds them up: prometheus_client does so if
`PROMETHEUS_MULTIPROC_DIR` is set before it is imported.

No label is an owner, a key or a request: all are bounded by the code or by the YAML. Counters are told what the ledger
answered, so a settlement whose answer was lost may be missing: the ledger is the truth, and `tollgate audit` proves it.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Tells a worker the folder for its files."""

WORKER = CollectorRegistry()

_LEDGER_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2)
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


def _counter(name: str, says: str, *labels: str) -> Counter:
    return Counter(name, says, labels, registry=WORKER)


def _gauge(name: str, says: str) -> Gauge:
    """Added up over the workers that live."""
    return Gauge(name, says, registry=WORKER, multiprocess_mode="livesum")


# --- Requests ---------------------------------------------------------------------------------------------------------

HOLDS = _counter("tollgate_holds_total", "Holds asked for, by what the ledger answered: held, or why not.", "outcome")
HELD_NANO = _counter("tollgate_held_nano_usd_total", "Money taken into holds, in nano-USD.")
REFUSALS = _counter(
    "tollgate_refusals_total",
    "Requests that the sidecar refused, at the headers or for their body, by the code and the reason in the answer.",
    "code",
    "reason",
)
REQUESTS = _counter(
    "tollgate_requests_total",
    "Admitted requests that have ended; the status of the answer is 2xx, 4xx, 5xx, or 0xx for none.",
    "operation",
    "group",
    "channel",
    "status",
)
TOKENS = _counter("tollgate_tokens_total", "Tokens of ended requests. No token is in two classes.", "model", "class")

# --- Ends -------------------------------------------------------------------------------------------------------------

ENDS = _counter(
    "tollgate_ends_total",
    "Holds ended, or ended anew by who knew more; the usage source none is a release.",
    "reporter",
    "usage_source",
)
SETTLED_NANO = _counter(
    "tollgate_settled_nano_usd_total", "Money charged, in nano-USD, by who answered.", "group", "channel"
)
CORRECTED_NANO = _counter(
    "tollgate_corrected_nano_usd_total", "Money taken off charges by a later report that knew more, in nano-USD."
)
OVERRUNS = _counter("tollgate_overruns_total", "Settlements above their hold.")
OVERRUN_NANO = _counter("tollgate_overrun_nano_usd_total", "What they were above it, in nano-USD.")
LATE = _counter("tollgate_settlements_late_total", "Settlements of holds that had expired, or were lost.")
EXPIRED = _counter("tollgate_holds_expired_total", "Holds that the sweeper expired: nobody had reported their end.")
DOUBTS = _counter("tollgate_usage_doubts_total", "Ended requests whose usage does not add up.")
REFUSED_REPORTS = _counter(
    "tollgate_reports_refused_total",
    "Reports that the ledger refused: disagrees (with one of the same rank), too_late, over_maximum.",
    "outcome",
)

# --- Reports that wait ------------------------------------------------------------------------------------------------

SPOOLED = _counter("tollgate_reports_spooled_total", "Reports that had to wait, as the ledger was away.")
DROPPED = _counter("tollgate_reports_dropped_total", "Reports for which there was no room: their holds expire.")
IN_MEMORY = _gauge("tollgate_reports_in_memory", "Reports that wait in memory, as no file can be written.")

# --- The ledger and the workers ---------------------------------------------------------------------------------------

LEDGER_SECONDS = Histogram(
    "tollgate_ledger_seconds",
    "How long a worker waited for the ledger, by verb, failures included.",
    ["verb"],
    registry=WORKER,
    buckets=_LEDGER_BUCKETS,
)
LEDGER_AWAY = _counter("tollgate_ledger_unavailable_total", "Verbs that Redis did not do, or not in time.")
WORKERS = _gauge("tollgate_workers", "Workers that run.")
LOOP_LAG = Histogram(
    "tollgate_event_loop_lag_seconds",
    "How late a worker's event loop wakes a task, asked once a second.",
    registry=WORKER,
    buckets=_LAG_BUCKETS,
)

for _outcome in ("disagrees", "too_late", "over_maximum"):
    REFUSED_REPORTS.labels(_outcome)  # there from the beginning, or an alert would not see the first
