"""Two sidecars and two Envoys on one Redis: what a key or an owner may have, they may have once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import pytest

from extproc.core.money import format_usd
from tests.e2e.calls import Reading, call, read_stream
from tests.e2e.harness import HTTP, Customer, Gateway, eventually, gateway

CALLERS = 24
WAITS = {"chunks": 4, "pause_at": 2}
FLOWS = {"chunks": 20, "delay_ms": 20}


CONFIG = {
    "channels": "{a: {dialect: openai, base_url: 'http://127.0.0.1:${TOLLGATE_DEMO_PORT}/a/v1', models: {chat: }}}",
    "groups": "{default: {channels: [{channel: a}]}}",
    "models": "{chat: {price: {input: 1, output: 5}, max_output_tokens: 1000}}",
}
"""No channel with a credential: each would cost every Envoy a watch, of which a user has not many."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Gateway]]:
    """A gateway, and a second one beside it."""
    folder = tmp_path_factory.mktemp("config")
    for name, text in CONFIG.items():
        (folder / f"{name}.yaml").write_text(f"{name}: {text}")
    with (
        gateway(folder, tmp_path_factory.mktemp("first")) as first,
        gateway(folder, tmp_path_factory.mktemp("second"), beside=first) as second,
    ):
        yield first, second


def resume(gateway: Gateway) -> None:
    """Let the vendor's answers go on."""
    HTTP.post(f"{gateway.simulator_url}/_sim/resume")


def all_at_once(pair: tuple[Gateway, Gateway], customer: Customer) -> list[int]:
    """The statuses of many streams that begin at both at once, each of which lives until all have been answered."""
    readings = [Reading() for _ in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        for at, reading in zip(cycle(pair), readings, strict=False):
            pool.submit(read_stream, at, customer, "chat stream", WAITS, reading)
        try:
            for reading in readings:
                assert reading.begun.wait(60)
        finally:
            resume(pair[0])
    return sorted(reading.status for reading in readings)


def test_requests_under_way_are_counted_together(pair: tuple[Gateway, Gateway]) -> None:
    """Of many that begin at both at once, exactly as many as the key may have are admitted."""
    customer = pair[0].customer(max_live=7)
    assert all_at_once(pair, customer) == [200] * 7 + [429] * (CALLERS - 7)
    pair[0].settled(customer, 7)


def test_a_wallet_is_held_together(pair: tuple[Gateway, Gateway]) -> None:
    """Of many that begin at both at once, exactly as many as the money is enough for are admitted."""
    rich = pair[0].customer()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(read_stream, pair[0], rich, "chat stream", WAITS, reading := Reading())
        try:
            assert reading.begun.wait(60)
            held_nano = pair[0].wallet(rich).held_nano
        finally:
            resume(pair[0])
    customer = pair[0].customer(usd=format_usd(5 * held_nano + held_nano - 1).removesuffix(" USD"))
    assert all_at_once(pair, customer) == [200] * 5 + [402] * (CALLERS - 5)
    pair[0].settled(customer, 5)


def test_a_minute_is_shared(pair: tuple[Gateway, Gateway]) -> None:
    """One request in a minute is one, whichever of the two is asked."""
    customer = pair[0].customer(requests_per_minute=1)
    assert all_at_once(pair, customer) == [200] + [429] * (CALLERS - 1)


class Callers:
    """Callers in a loop, who ask the gateways that are in rotation: for an answer in one piece, then for a stream."""

    def __init__(self, rotation: list[Gateway], customer: Customer, count: int) -> None:
        self.answers: list[tuple[int, bool]] = []
        """Status, and whether it came whole."""
        self._rotation, self._customer = rotation, customer
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(place,)) for place in range(count)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def more(self, count: int) -> None:
        """Wait for so many further answers."""
        goal = len(self.answers) + count
        eventually(lambda: len(self.answers) >= goal, f"{count} further answers", 60)

    def _run(self, place: int) -> None:
        while not self._stop.is_set():
            place += 1
            at = self._rotation[place % len(self._rotation)]
            answer = call(at, self._customer, "chat")
            self.answers.append((answer.status_code, True))
            reading = read_stream(at, self._customer, "chat stream", FLOWS, Reading())
            self.answers.append((reading.status, not reading.cut and b"[DONE]" in reading.received))


def test_everything_is_restarted_and_nobody_notices(
    pair: tuple[Gateway, Gateway], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One gateway after the other leaves the rotation, is stopped and started anew: no request fails, no stream breaks.

    What was charged is what the ledger has, request by request.
    """

    def start(folder: Path, stack: ExitStack) -> Gateway:
        return stack.enter_context(gateway(pair[0].settings.config, folder, beside=pair[0]))

    customer = pair[0].customer(usd="1000")
    folders = [tmp_path_factory.mktemp(name) for name in ("third", "fourth")]
    stacks = [ExitStack() for _ in folders]
    with stacks[0], stacks[1]:
        rotation = [start(folder, stack) for folder, stack in zip(folders, stacks, strict=True)]
        with Callers(rotation, customer, 6) as callers:
            for folder, stack in zip(folders, stacks, strict=True):
                callers.more(20)
                rotation.pop(0)
                stack.close()
                rotation.append(start(folder, stack))
            callers.more(20)
    assert set(callers.answers) == {(200, True)}
    pair[0].settled(customer, len(callers.answers))
