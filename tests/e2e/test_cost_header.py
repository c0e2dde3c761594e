"""`x-tollgate-cost`: what a request costs, told with its answer where that is known beforehand."""

import httpx
import pytest

from extproc.names import PUBLIC_COST_HEADER
from tests.e2e.calls import TIMEOUT_SECONDS, call, prompt
from tests.e2e.harness import Customer, Gateway


def ask(gateway: Gateway, customer: Customer, stream: bool = False, **script: int) -> httpx.Response:
    """Call the model that is paid by the call."""
    body = {"model": "paid-by-call", "messages": [{"role": "user", "content": prompt(script)}], "stream": stream}
    headers = {"authorization": f"Bearer {customer.key}"}
    url = f"{gateway.url}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=TIMEOUT_SECONDS)


CASES = {
    "a call": ("default", (), "0.04", 40_000_000),
    "at half the price": ("half", (), "0.02", 20_000_000),
    "answered by the fallback group, at its multiplier": ("busy-everywhere", ("half",), "0.02", 20_000_000),
}


@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
@pytest.mark.parametrize(("group", "fallback", "told", "charged_nano"), CASES.values(), ids=CASES)
def test_what_is_told_is_charged(
    chains: Gateway, group: str, fallback: tuple[str, ...], told: str, charged_nano: int, stream: bool
) -> None:
    """A price by the call is told in USD at the multiplier of the group that answered, and charged to the nano."""
    customer = chains.customer(group=group, fallback_groups=fallback)
    answer = ask(chains, customer, stream)
    assert answer.status_code == 200
    assert answer.headers[PUBLIC_COST_HEADER] == told
    (record,) = chains.settled(customer, records=1)
    assert record["charged_nano"] == charged_nano


def test_the_owners_discount_is_in_it(chains: Gateway) -> None:
    """What is told is what this caller pays."""
    customer = chains.customer()
    chains.say_of(customer, discount_ppm=750_000)
    assert ask(chains, customer).headers[PUBLIC_COST_HEADER] == "0.03"


@pytest.mark.parametrize("status", [400, 404, 500])
def test_what_fails_tells_no_cost(chains: Gateway, status: int) -> None:
    """It costs nothing, so there is nothing to tell."""
    answer = ask(chains, chains.customer(), status=status)
    assert answer.status_code == status
    assert PUBLIC_COST_HEADER not in answer.headers


def test_saturation_tells_no_cost(chains: Gateway) -> None:
    """Nor does an answer that Envoy words in the vendor's place."""
    answer = ask(chains, chains.customer(group="busy-everywhere"))
    assert answer.status_code == 429
    assert PUBLIC_COST_HEADER not in answer.headers


@pytest.mark.parametrize("form", ["chat", "chat stream", "messages"])
def test_what_is_paid_by_the_token_is_known_only_at_the_end(chains: Gateway, form: str) -> None:
    """The headers leave before the vendor has counted: the usage record tells."""
    answer = call(chains, chains.customer(), form)
    assert answer.status_code == 200
    assert PUBLIC_COST_HEADER not in answer.headers
