"""Two sidecars and two Envoys on one Redis: what a key or an owner may have, they may have once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest

from extproc.core.money import format_usd
from tests.e2e.calls import Reading, read_stream
from tests.e2e.chains import environment
from tests.e2e.harness import HTTP, Customer, Gateway, gateway
from tests.e2e.odd_vendor import OddVendor

CALLERS = 24
WAITS = {"chunks": 4, "pause_at": 2}


@pytest.fixture(scope="module")
def pair(
    chains: Gateway, odd_vendor: OddVendor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Gateway]]:
    """A gateway, and a second one beside it."""
    folder = tmp_path_factory.mktemp("beside")
    with gateway(chains.settings.config, folder, environment=environment(odd_vendor), beside=chains) as second:
        yield chains, second


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
