"""What breaks while requests run: workers, Redis, Envoy, the vendor. No text is lost and no charge is wrong."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import httpx
import pytest

from extproc.core.ledger import HOLD_MS
from extproc.errors import LedgerUnavailable
from extproc.store.connection import Connection
from extproc.store.redis_ledger import RedisLedger
from extproc.store.sweeper import sweep
from tests.e2e.calls import FORMS, Reading, call, headers, price_nano, prompt, streams_running
from tests.e2e.chains import CHAINS, environment
from tests.e2e.harness import Customer, Gateway, eventually, gateway
from tests.e2e.load import Load
from tests.e2e.odd_vendor import OddVendor

WORKER = "extproc.app"
CHUNKS = 40
WORDS = [f"w{number}" for number in range(CHUNKS)]
SCRIPT = {"chunks": CHUNKS, "delay_ms": 150}
"""A stream of six seconds: longer than a part takes to come back."""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, odd_vendor: OddVendor) -> Iterator[Gateway]:
    """A gateway for these tests alone, as they break its parts."""
    with gateway(CHAINS, tmp_path_factory.mktemp("faults"), environment=environment(odd_vendor)) as running:
        yield running


@pytest.fixture
def faulty(broken: Gateway) -> Gateway:
    """The same, with all parts well again."""
    eventually(lambda: _workers_back(broken, ()), "all workers", 60)
    eventually(lambda: _serves(broken), "the gateway to serve", 60)
    broken.forget_received()
    return broken


def _accepts(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(socket_path)) == 0


def _workers_back(faulty: Gateway, ended: Collection[int]) -> bool:
    """Whether all workers accept connections and Envoy knows, none of them one of those that were to end."""
    sockets = map(faulty.settings.worker_socket, range(faulty.settings.workers))
    running = set(faulty.pids(WORKER)) - set(ended)
    return len(running) == faulty.settings.workers and all(map(_accepts, sockets)) and faulty.workers_ready()


def _all_whole(readings: list[Reading]) -> bool:
    return all(reading.status == 200 and not reading.cut and reading.words == WORDS for reading in readings)


def _vendors_nano(faulty: Gateway) -> int:
    """The price of all that the vendor says it produced, to the end of its answers."""
    return sum(price_nano(entry["usage"]) for entry in faulty.received() if entry["ended"] == "clean")


# --- Workers ----------------------------------------------------------------------------------------------------------


def test_twenty_streams_outlive_all_workers(faulty: Gateway) -> None:
    """All workers are killed while 20 streams run: each is whole, each is charged once, and new requests work."""
    customer = faulty.customer()
    with streams_running(faulty, customer, 20, SCRIPT) as readings:
        killed = faulty.kill(WORKER)
        assert len(killed) == faulty.settings.workers
        eventually(lambda: _workers_back(faulty, killed), "new workers")
        assert call(faulty, faulty.customer(), "chat").status_code == 200
    assert _all_whole(readings)
    records = faulty.settled(customer, records=20)
    assert {record["request_id"] for record in records} == {reading.request_id for reading in readings}
    assert len(records) == 20
    assert {record["state"] for record in records} == {"REPORTED"}
    assert {record["charged_nano"] for record in records} == {2 * 1000 + CHUNKS * 5000}


def test_reports_that_die_with_the_workers_are_in_the_journal(faulty: Gateway) -> None:
    """All workers hang while streams end, and are killed with the reports they were sent: each is charged in full."""
    customer = faulty.customer()
    with streams_running(faulty, customer, 10, SCRIPT) as readings:
        killed = faulty.kill(WORKER, signal.SIGSTOP)
    assert _all_whole(readings)
    faulty.kill(WORKER)
    eventually(lambda: _workers_back(faulty, killed), "new workers")
    records = faulty.settled(customer, records=10)
    assert {record["request_id"] for record in records} == {reading.request_id for reading in readings}
    assert {record["state"] for record in records} == {"REPORTED"}
    assert {record["charged_nano"] for record in records} == {2 * 1000 + CHUNKS * 5000}
    assert "journal" in {record["reporter"] for record in records}


def _charged_ids(faulty: Gateway, customer: Customer, count: int) -> set[str]:
    """The requests that were charged, once all have ended; none of them twice."""
    records = [record for record in faulty.settled(customer, records=count) if record["charged_nano"]]
    assert len({record["request_id"] for record in records}) == len(records)
    return {record["request_id"] for record in records}


def test_one_worker_killed_under_load(faulty: Gateway) -> None:
    """What fails is told to come again (503 with Retry-After) and costs nothing; what succeeds is charged once."""
    customer = faulty.customer(usd="100")
    with Load(faulty, customer) as load:
        load.more(60)
        killed = faulty.pids(WORKER)[0]
        os.kill(killed, signal.SIGKILL)
        load.more(60)
        eventually(lambda: _workers_back(faulty, [killed]), "a new worker")
        load.more(60)
    failed = [answer for answer in load.answers if answer[0] != 200]
    assert {(status, retry_after) for status, retry_after, _ in failed} <= {(503, "2")}
    assert len(failed) <= len(load.answers) // 10
    answered = {request_id for status, _, request_id in load.answers if status == 200}
    assert _charged_ids(faulty, customer, len(answered)) == answered


def test_a_worker_told_to_stop_under_load_fails_nothing(faulty: Gateway) -> None:
    """SIGTERM drains: not one request fails, and each is charged once."""
    customer = faulty.customer(usd="100")
    with Load(faulty, customer) as load:
        load.more(60)
        stopped = faulty.pids(WORKER)[0]
        os.kill(stopped, signal.SIGTERM)
        load.more(60)
        eventually(lambda: _workers_back(faulty, [stopped]), "a new worker")
        load.more(60)
    assert [answer for answer in load.answers if answer[0] != 200] == []
    answered = {request_id for _, _, request_id in load.answers}
    assert _charged_ids(faulty, customer, len(answered)) == answered


# --- Redis ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL], ids=["and goes on", "and is killed"])
def test_redis_hangs(faulty: Gateway, then: signal.Signals) -> None:
    """While Redis hangs nothing is admitted; streams run on and are charged when it is back; nothing stays held.

    One that goes on still does what it was told before; one that is killed has forgotten it, and must be told again.
    """
    customer, other = faulty.customer(), faulty.customer()
    with streams_running(faulty, customer, 5, SCRIPT) as readings:
        asked = len(faulty.received())
        stopped = faulty.kill("redis-server", signal.SIGSTOP)
        try:
            answers = [call(faulty, who, "chat") for who in (customer, other)]
            assert len(faulty.received()) == asked
            eventually(lambda: all(entry["ended"] for entry in faulty.received()), "the streams to end")
        finally:
            for pid in stopped:
                os.kill(pid, then)
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "2")] * 2
    assert answers[0].json()["error"]["code"] == "service_unavailable"
    assert _all_whole(readings)
    eventually(lambda: _serves(faulty), "Redis to be back", 60)
    records = [record for record in faulty.settled(customer, records=5) if record["state"] != "RELEASED"]
    assert len(records) == 5
    assert {record["charged_nano"] for record in records} == {2 * 1000 + CHUNKS * 5000}
    eventually(lambda: not faulty.wallet(other).held_nano, "the refused request's hold to be gone")
    assert faulty.wallet(other).used_nano == 0


def test_redis_is_killed(faulty: Gateway) -> None:
    """Redis back, balances and holds are as they were; streams are whole, and what ended meanwhile is charged."""
    customer, untouched = faulty.customer(usd="3"), faulty.customer(usd="7")
    call(faulty, customer, "chat")
    faulty.settled(customer, records=1)
    with streams_running(faulty, customer, 5, SCRIPT) as readings:
        before = faulty.wallet(customer)
        killed = faulty.kill("redis-server")
        eventually(lambda: not set(killed) & set(faulty.pids("redis-server")), "a new Redis")
        eventually(lambda: call(faulty, _customer_once_possible(faulty), "chat").status_code == 200, "admissions")
        assert faulty.wallet(customer) == before
        assert before.held_nano > 0
    assert _all_whole(readings)
    records = faulty.settled(customer, records=6)
    assert [record["state"] for record in records] == ["REPORTED"] * 6
    assert faulty.wallet(customer).limit_nano == 3_000_000_000
    assert faulty.wallet(untouched).available_nano == 7_000_000_000


def _customer_once_possible(faulty: Gateway) -> Customer:
    """A customer, as soon as one can be made."""

    def made() -> Customer | None:
        with contextlib.suppress(LedgerUnavailable):
            return faulty.customer()
        return None

    found = eventually(made, "a customer")
    assert found
    return found


# --- Envoy ------------------------------------------------------------------------------------------------------------


def test_envoy_is_killed_with_holds_open(faulty: Gateway) -> None:
    """Their callers see a cut; the holds stay until their deadline and are then expired at no cost."""
    customer = faulty.customer()
    with streams_running(faulty, customer, 5, SCRIPT) as readings:
        held = faulty.wallet(customer).held_nano
        killed = faulty.kill("envoy.yaml")
        eventually(lambda: not set(killed) & set(faulty.pids("envoy.yaml")), "a new Envoy")
    assert all(reading.cut for reading in readings)
    eventually(lambda: _serves(faulty), "the gateway to serve", 60)
    assert faulty.wallet(customer).held_nano == held > 0
    assert faulty.usage(customer) == []

    assert asyncio.run(_sweep(faulty)) == 5

    records = faulty.settled(customer, records=5)
    assert {(record["state"], record["charged_nano"], record["reporter"]) for record in records} == {
        ("EXPIRED", 0, "sweeper")
    }
    assert {record["request_id"] for record in records} == {reading.request_id for reading in readings}


def _serves(faulty: Gateway) -> bool:
    with contextlib.suppress(httpx.TransportError, LedgerUnavailable):
        return call(faulty, faulty.customer(), "chat").status_code == 200
    return False


async def _sweep(faulty: Gateway) -> int:
    """Sweep as if all deadlines of now had passed."""

    connection = Connection(faulty.settings.redis_url)
    try:
        return await sweep(RedisLedger(connection), time.time_ns() // 1_000_000 + HOLD_MS + 1)
    finally:
        await connection.aclose()


# --- The vendor -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["chat stream", "messages stream"])
def test_the_vendor_is_killed(faulty: Gateway, form: str) -> None:
    """Streams are cut and cost no more than was delivered; the vendor back, requests work again."""
    customer = faulty.customer()
    with streams_running(faulty, customer, 3, SCRIPT, form) as readings:
        faulty.kill("extproc.simulator")
    assert all(reading.cut and reading.words == WORDS[: len(reading.words)] for reading in readings)
    records = faulty.settled(customer, records=3)
    assert {record["state"] for record in records} == {"PARTIAL"}
    words = {reading.request_id: len(reading.words) for reading in readings}
    assert all(record["usage"]["output_tokens"] <= words[record["request_id"]] for record in records)
    eventually(lambda: _serves(faulty), "the vendor to be back", 60)


# --- The race for the last of the money -------------------------------------------------------------------------------


def test_exactly_as_many_as_the_balance_covers(faulty: Gateway) -> None:
    """Of 200 requests at once on a balance for 37 holds, 37 are admitted and 163 get 402: none more, none less."""
    script = {"first_delay_ms": 8000}
    probe = faulty.customer()
    call(faulty, probe, "chat", {"first_delay_ms": 1000})
    (record,) = faulty.settled(probe, records=1)
    customer = faulty.customer(usd=f"{37 * record['hold_nano'] / 1e9:.9f}")
    faulty.forget_received()
    order: list[int] = []

    async def race() -> None:
        form = FORMS["chat"]
        sent, body = headers(form, customer.key), form.encode(prompt(script))
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=faulty.url, timeout=60, limits=limits) as client:

            async def one() -> None:
                order.append((await client.post(form.path, headers=sent, content=body)).status_code)

            await asyncio.gather(*(one() for _ in range(200)))

    asyncio.run(race())

    assert len(faulty.received()) == 37
    assert order == [402] * 163 + [200] * 37
    records = faulty.settled(customer, records=37)
    assert len(records) == 37
    assert sum(record["charged_nano"] for record in records) == _vendors_nano(faulty)


def test_the_logs_tell_of_no_lost_report(broken: Gateway) -> None:
    """After all of that no report was dropped, none was refused, and no handler failed."""
    said = broken.logs()
    words = ("report_dropped", "report_refused", "settle_failed", "access_log_entry_failed", "admission_failed")
    assert [word for word in words if word in said] == []
