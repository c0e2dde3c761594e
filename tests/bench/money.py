"""After the load: was every request charged, once, at what the vendor said?"""

import asyncio
from dataclasses import dataclass

import httpx

from extproc.config.load import load
from extproc.core.ledger import bucket_of
from extproc.core.pricing import Usage, cost_nano
from extproc.store import keys
from extproc.store.connection import Connection
from tests.bench.measure import Side
from tests.e2e.harness import Customer, Gateway, eventually

GROUP = "default"
MUTE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Books:
    """What was charged, and what should have been."""

    requests: int
    charged_nano: int
    expected_nano: int


def mute_sweeper(gateway: Gateway) -> None:
    """Take the sweeper's lease: a sweep costs by the time and not by the request, and would fall into some windows."""

    async def take() -> None:
        redis = Connection(gateway.settings.redis_url)
        await redis.execute("SET", keys.SWEEPER_LEASE, "benchmark", "PX", MUTE_SECONDS * 1000)
        await redis.aclose()

    asyncio.run(take())


def check_books(gateway: Gateway, customer: Customer, side: Side) -> Books:
    """Compare the wallet with the simulator's totals to the nano. Raises `AssertionError` saying what is wrong."""
    eventually(lambda: not gateway.wallet(customer).held_nano, "every hold to end")
    totals = httpx.get(f"{gateway.simulator_url}/_sim/totals").json()[side.model]
    wallet, key = gateway.wallet(customer), gateway.key_account(customer)
    expected = expected_nano(gateway, side.model, totals)
    holds, entries = _counts(gateway, customer.owner)
    answered = sum(timing.requests for timing in side.posted)
    assert not sum(timing.errors for timing in side.posted), "some requests failed"
    assert answered == totals["requests"], f"{answered} answers, but the vendor gave {totals['requests']}"
    assert (holds, key.held_nano) == (0, 0), f"{holds} holds are left"
    assert entries == totals["requests"], f"{entries} usage entries for {totals['requests']} requests"
    assert wallet.used_nano == key.used_nano == expected, f"charged {wallet.used_nano}, not {expected}"
    return Books(answered, wallet.used_nano, expected)


def expected_nano(gateway: Gateway, model: str, totals: dict[str, int]) -> int:
    """The price of the vendor's totals. A sum, because this model's prices are whole nano-USD per token."""
    catalog = load(gateway.settings.config, gateway.settings.environment()).catalog
    classes = ("input", "cached", "cache_write", "output", "reasoning")
    usage = Usage.of(*(totals[name] for name in classes))
    return cost_nano(usage, catalog.models[model].price_at(0).terms.rates, catalog.groups[GROUP].multiplier_ppm)


def _counts(gateway: Gateway, owner: str) -> tuple[int, int]:
    """The live holds and the usage entries of the owner's bucket, in which there is nobody else."""
    bucket = bucket_of(owner)

    async def count() -> tuple[int, int]:
        redis = Connection(gateway.settings.redis_url)
        found = await redis.execute("ZCARD", keys.due(bucket)), await redis.execute("XLEN", keys.usage(bucket))
        await redis.aclose()
        return found

    return asyncio.run(count())
