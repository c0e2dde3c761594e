"""What an operator does to keys, while they are used: it holds for every request that begins after the answer."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from extproc.clock import now_ms
from extproc.core import identity
from extproc.settings import load_pepper
from extproc.status import read_status
from tests.e2e.conftest import CONFIG
from tests.e2e.harness import Customer, Gateway, eventually, gateway
from tests.e2e.operators import Operator

CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
CALLERS = 4
OVERLAP_SECONDS = 3


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The example configuration, with the admin API."""
    with gateway(CONFIG, tmp_path_factory.mktemp("operated"), admin=True) as running:
        yield running


@pytest.fixture(scope="module")
def operator(operated: Gateway) -> Operator:
    """Who operates it."""
    return Operator(operated)


@dataclass(frozen=True)
class Call:
    """One request: when it began and ended (Unix milliseconds), and what it was told."""

    began_ms: int
    ended_ms: int
    status: int


class Callers:
    """Some who call in a loop with one plaintext, until the end of the block."""

    def __init__(self, of: Gateway, plaintext: str) -> None:
        self.calls: list[Call] = []
        self._url = of.url
        self._headers = {"authorization": f"Bearer {plaintext}"}
        self._stop = Event()
        self._threads = [Thread(target=self._run) for _ in range(CALLERS)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def until(self, enough: Callable[[list[Call]], bool], what: str) -> None:
        """Wait until they were told enough."""
        eventually(lambda: enough(list(self.calls)), what)

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=60, trust_env=False) as client:
            while not self._stop.is_set():
                began_ms = now_ms()
                status = client.post("/v1/chat/completions", json=CHAT).status_code
                self.calls.append(Call(began_ms, now_ms(), status))


def status(of: Gateway, plaintext: str) -> int:
    """What one request is told."""
    headers = {"authorization": f"Bearer {plaintext}"}
    return httpx.post(
        f"{of.url}/v1/chat/completions", json=CHAT, headers=headers, timeout=60, trust_env=False
    ).status_code


def just_after(at_ms: int) -> int:
    """A moment that is surely after another one, by a clock that counts in milliseconds."""
    while now_ms() <= at_ms:
        time.sleep(0.001)
    return now_ms()


ENDS: dict[str, tuple[Callable[[Customer], tuple[str, str, dict[str, Any]]], int]] = {
    "rotated": (lambda of: ("POST", f"keys/{of.key_id}:rotate", {}), 401),
    "disabled": (lambda of: ("PATCH", f"keys/{of.key_id}", {"status": "disabled"}), 401),
    "deleted": (lambda of: ("DELETE", f"keys/{of.key_id}", {}), 401),
    "expired": (lambda of: ("PATCH", f"keys/{of.key_id}", {"expires_ms": "1"}), 401),
    "suspended": (lambda of: ("PATCH", f"owners/{of.owner}", {"status": "suspended"}), 403),
}


@pytest.mark.parametrize("how", ENDS)
def test_no_request_begins_with_a_key_that_ended(operated: Gateway, operator: Operator, how: str) -> None:
    """Under load, on every worker: whatever began after the answer is refused, and nothing before it was."""
    customer = operator.customer()
    asked, refused = ENDS[how]
    method, path, fields = asked(customer)
    with Callers(operated, customer.key) as callers:
        callers.until(lambda calls: len(calls) >= 40, "requests before")
        asked_ms = now_ms()
        operator.does(method, path, **fields)
        done_ms = just_after(now_ms())
        callers.until(lambda calls: sum(call.began_ms >= done_ms for call in calls) >= 40, "requests after")
    assert {call.status for call in callers.calls if call.began_ms >= done_ms} == {refused}
    assert {call.status for call in callers.calls if call.ended_ms < asked_ms} == {200}
    assert {call.status for call in callers.calls} == {200, refused}


def test_a_rotated_key_goes_on(operated: Gateway, operator: Operator) -> None:
    """With its new plaintext it is the same key; the answer is the only place where that is."""
    customer = operator.customer()
    assert status(operated, customer.key) == 200
    new = operator.does("POST", f"keys/{customer.key_id}:rotate")
    assert (status(operated, customer.key), status(operated, new["plaintext"])) == (401, 200)
    assert {entry["key_id"] for entry in operated.settled(customer, 2)} == {customer.key_id}


def test_both_plaintexts_count_until_the_overlap_ends(operated: Gateway, operator: Operator) -> None:
    """Not a request before it is refused, and none that begins after it is let through; the new one goes on."""
    customer = operator.customer()
    with Callers(operated, customer.key) as old:
        old.until(lambda calls: len(calls) >= 10, "requests before")
        new = operator.does("POST", f"keys/{customer.key_id}:rotate", overlap_seconds=str(OVERLAP_SECONDS))
        end_ms = int(new["key"]["overlap_until_ms"])
        with Callers(operated, new["plaintext"]) as fresh:
            old.until(lambda calls: sum(call.began_ms >= end_ms for call in calls) >= 40, "requests after the overlap")
            fresh.until(lambda calls: any(call.began_ms >= end_ms for call in calls), "the new one after the overlap")
    assert {call.status for call in fresh.calls} == {200}
    assert {call.status for call in old.calls if call.ended_ms < end_ms} == {200}
    assert {call.status for call in old.calls if call.began_ms >= end_ms} == {401}


def test_a_plaintext_of_before_the_last_rotation_is_dead(operated: Gateway, operator: Operator) -> None:
    """Two rotations in an overlap: the last two plaintexts count, the first does not."""
    customer = operator.customer()
    second = operator.does("POST", f"keys/{customer.key_id}:rotate", overlap_seconds="600")
    third = operator.does("POST", f"keys/{customer.key_id}:rotate", overlap_seconds="600")
    plaintexts = (customer.key, second["plaintext"], third["plaintext"])
    assert [status(operated, plaintext) for plaintext in plaintexts] == [401, 200, 200]


def test_a_key_comes_back(operated: Gateway, operator: Operator) -> None:
    """Enabled again, or with its owner active again, it is let through at once."""
    customer = operator.customer()
    for path, off, on in (
        (f"keys/{customer.key_id}", "disabled", "active"),
        (f"owners/{customer.owner}", "suspended", "active"),
    ):
        operator.does("PATCH", path, status=off)
        assert status(operated, customer.key) in (401, 403)
        operator.does("PATCH", path, status=on)
        assert status(operated, customer.key) == 200


def test_a_cap_holds_from_the_next_request_on(operated: Gateway, operator: Operator) -> None:
    """And so does a higher one."""
    customer = operator.customer()
    assert status(operated, customer.key) == 200
    operator.does("PATCH", f"keys/{customer.key_id}", cap_nano="1")
    assert status(operated, customer.key) == 402
    operator.does("PATCH", f"keys/{customer.key_id}", cap_nano="0")
    assert status(operated, customer.key) == 200


def test_no_log_has_a_secret(operated: Gateway, operator: Operator) -> None:
    """No plaintext of a key or a token is in any file of the data folder, and no digest but in those of Redis."""
    customer = operator.customer()
    rotated = operator.does("POST", f"keys/{customer.key_id}:rotate", overlap_seconds="60")
    token = operator.does("POST", "tokens", scopes=["read"])
    operator.does("DELETE", f"tokens/{token['token']['token_id']}")
    plaintexts = [customer.key, rotated["plaintext"], token["plaintext"], operator.token]
    assert status(operated, rotated["plaintext"]) == 200
    operator.does("GET", "changes")
    operator.does("DELETE", f"keys/{customer.key_id}")
    pepper = load_pepper(operated.settings)
    digests = [identity.digest(pepper, plaintext) for plaintext in plaintexts]
    kept = [path for path in operated.settings.data.rglob("*") if path.is_file()]
    assert {path.name for path in kept} >= {"admin.log", "envoy.log", "worker-0.log", "up.log", "index.sqlite"}
    assert [(path.name, secret) for path in kept for secret in plaintexts if secret in said(path)] == []
    of_redis = operated.settings.data / "redis"
    others = [path for path in kept if of_redis not in path.parents]
    assert [(path.name, secret) for path in others for secret in digests if secret in said(path)] == []


def said(path: Path) -> str:
    """What is in a file."""
    return path.read_bytes().decode("latin-1")


def test_the_admin_service_comes_back(operated: Gateway, operator: Operator) -> None:
    """Killed, it is started again; meanwhile requests go on, and nobody is told of a change that was not made."""
    customer = operator.customer()
    assert operated.kill("extproc.admin_app")
    assert status(operated, customer.key) == 200
    eventually(lambda: operated.pids("extproc.admin_app"), "another admin service")
    back = Operator(operated)
    assert back.does("GET", f"keys/{customer.key_id}")["key_id"] == customer.key_id


def test_the_status_tells_that_the_admin_service_hangs(operated: Gateway, operator: Operator) -> None:
    """It is a sentence of its own, and gone when the service is back."""
    sentence = "The admin service does not answer; requests go on without it."
    operated.kill("extproc.admin_app", signal.SIGSTOP)
    try:
        assert sentence in asyncio.run(read_status(operated.settings)).wrong
    finally:
        operated.kill("extproc.admin_app", signal.SIGCONT)
    assert sentence not in asyncio.run(read_status(operated.settings)).wrong
    assert operator.does("GET", "whoami")["scopes"] == ["operator"]
