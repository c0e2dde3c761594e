"""Redis is away, and the workers die meanwhile: what was to be charged is on disk, and is charged once, to the nano."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.calls import call, price_nano, streams_running
from tests.e2e.chains import CHAINS, environment
from tests.e2e.harness import Customer, Gateway, eventually, gateway
from tests.e2e.odd_vendor import OddVendor

WORKER = "extproc.app"
STREAMS = 12
SCRIPT = {"chunks": 20, "delay_ms": 100}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, odd_vendor: OddVendor) -> Iterator[Gateway]:
    """A gateway for these tests alone, as they break its parts."""
    with gateway(CHAINS, tmp_path_factory.mktemp("outage"), environment=environment(odd_vendor)) as running:
        yield running


@contextmanager
def redis_away(broken: Gateway, then: signal.Signals) -> Iterator[None]:
    """Redis hangs, and at the end goes on or is killed, which brings a new one."""
    stopped = broken.kill("redis-server", signal.SIGSTOP)
    assert len(stopped) == 1
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, then)


def spool_files(broken: Gateway) -> list[Path]:
    """All segments of all workers."""
    return sorted((broken.settings.data / "spool").glob("*/*.jsonl"))


def waiting(broken: Gateway) -> dict[str, dict[str, Any]]:
    """The settlements on disk, by request id."""
    lines = [line for path in spool_files(broken) for line in path.read_bytes().splitlines()]
    reports = [json.loads(line[9:]) for line in lines]
    return {report["hold_id"]: report for report in reports if report["cost_nano"]}


def spool_is_empty(broken: Gateway) -> bool:
    """Whether no report waits on disk, and no folder is left."""
    return list((broken.settings.data / "spool").glob("*")) == []


def streams_end_without_redis(broken: Gateway, customer: Customer, then: signal.Signals) -> None:
    """Streams begin, Redis goes away, they end and wait on disk, all workers are killed, Redis comes back."""
    broken.forget_received()
    with streams_running(broken, customer, STREAMS, SCRIPT) as readings:
        held_nano = broken.wallet(customer).held_nano
        with redis_away(broken, then):
            ids = {reading.request_id for reading in readings}
            eventually(lambda: ids <= set(waiting(broken)), "all settlements to be on disk", 30)
            spooled = b"".join(path.read_bytes() for path in spool_files(broken))
            assert {path.stat().st_mode & 0o777 for path in spool_files(broken)} == {0o600}
            killed = broken.kill(WORKER)
            assert len(killed) == broken.settings.workers
            eventually(lambda: not set(killed) & set(broken.pids(WORKER)), "the workers to be gone")
            assert ids <= set(waiting(broken))
    assert held_nano > 0
    assert all(reading.status == 200 and not reading.cut for reading in readings)
    assert customer.key.encode() not in spooled
    assert not [word for word in (b"Hello", b"[[sim", b"w0", b"w19") if word in spooled]


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL], ids=["and goes on", "and is killed"])
def test_workers_are_killed_while_redis_is_away(broken: Gateway, then: signal.Signals) -> None:
    """Every stream is charged once, what the vendor produced; nothing stays held, and the disk is empty.

    A Redis that goes on does what it was told before it hung, too; one that is killed has forgotten it.
    """
    customer = broken.customer()
    streams_end_without_redis(broken, customer, then)
    produced_nano = sum(price_nano(entry["usage"]) for entry in broken.received())
    eventually(lambda: spool_is_empty(broken), "the spool to be replayed", 30)
    records = broken.settled(customer, records=STREAMS)
    assert len(records) == len({record["request_id"] for record in records}) == STREAMS
    assert {record["state"] for record in records} == {"REPORTED"}
    assert broken.wallet(customer).used_nano == produced_nano > 0
    assert broken.key_account(customer).used_nano == produced_nano
    assert broken.key_account(customer).held_nano == 0
    eventually(lambda: call(broken, customer, "chat").status_code == 200, "admissions", 30)
    assert spool_is_empty(broken)


def test_workers_told_to_stop_leave_the_rest_to_the_next(broken: Gateway) -> None:
    """SIGTERM while Redis is away: the workers do not wait for it, and their successors charge what they left."""
    customer = broken.customer()
    with streams_running(broken, customer, STREAMS, SCRIPT) as readings, redis_away(broken, signal.SIGCONT):
        ids = {reading.request_id for reading in readings}
        eventually(lambda: ids <= set(waiting(broken)), "all settlements to be on disk", 30)
        stopped = broken.kill(WORKER, signal.SIGTERM)
        eventually(lambda: not set(stopped) & set(broken.pids(WORKER)), "the workers to end", 30)
    eventually(lambda: spool_is_empty(broken), "the spool to be replayed", 30)
    records = broken.settled(customer, records=STREAMS)
    assert {record["request_id"] for record in records} == ids
    assert len(records) == STREAMS


def test_the_logs_tell_of_no_lost_report(broken: Gateway) -> None:
    """After all of that no report was dropped, unreadable or refused, and nothing failed."""
    said = broken.logs()
    words = ("report_dropped", "report_refused", "report_unreadable", "spool_un", "spool_not", "replay_failed")
    assert [word for word in words if word in said] == []
    assert "spool_adopted" in said
