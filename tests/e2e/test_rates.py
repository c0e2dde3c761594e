"""Requests and tokens per minute of a key, through Envoy, as a caller sees them."""

from typing import Any

import httpx
import openai
import pytest

from extproc.names import RATE_HEADERS
from tests.e2e.harness import HTTP, Customer, Gateway

SCRIPT = '[[sim {"chunks": 5}]]'


def ask(gateway: Gateway, customer: Customer, group_path: str = "", **more: Any) -> httpx.Response:
    """One chat call that may cost some 120 tokens."""
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": SCRIPT}], "max_tokens": 100, **more}
    return HTTP.post(
        f"{gateway.url}{group_path}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {customer.key}"}
    )


def limits(answer: httpx.Response) -> dict[str, str]:
    """What an answer tells of the key's minute."""
    return {name: value for name, value in answer.headers.items() if name in RATE_HEADERS}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_tells_what_is_left(demo: Gateway, stream: bool) -> None:
    """Limit, rest and reset, of requests and of tokens, on an answer that comes from a vendor."""
    customer = demo.customer(requests_per_minute=10, tokens_per_minute=60_000)
    told = limits(ask(demo, customer, stream=stream))
    assert told["x-ratelimit-limit-requests"] == "10"
    assert told["x-ratelimit-remaining-requests"] == "9"
    assert told["x-ratelimit-limit-tokens"] == "60000"
    assert 59_000 < int(told["x-ratelimit-remaining-tokens"]) < 59_900
    assert {"x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"} <= told.keys()


def test_a_key_without_limits_is_told_of_none(demo: Gateway) -> None:
    """There is no header where there is no limit."""
    assert limits(ask(demo, demo.customer())) == {}


def test_a_vendors_own_limits_stay_with_the_operator(chains: Gateway) -> None:
    """What a vendor says of its account reaches no caller; the limit of the group takes its place, if there is one."""
    free, limited = chains.customer(group="tells-limits"), chains.customer(group="limited")
    answers = [ask(chains, customer, model="chat") for customer in (free, limited)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [limits(answer).get("x-ratelimit-limit-requests") for answer in answers] == [None, "2"]


def test_one_request_too_many(demo: Gateway) -> None:
    """429 with Retry-After and the limits, nothing held, no vendor asked."""
    customer = demo.customer(requests_per_minute=2)
    assert [ask(demo, customer).status_code for _ in range(2)] == [200, 200]
    demo.settled(customer, 2)
    before = len(demo.received())

    refused = ask(demo, customer)

    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["reason"] == "requests_per_minute_exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert limits(refused)["x-ratelimit-remaining-requests"] == "0"
    assert demo.wallet(customer).held_nano == 0
    assert len(demo.received()) == before


def test_tokens_that_were_not_used_come_back(demo: Gateway) -> None:
    """A request is admitted by its estimate; once it has ended only what it used is gone."""
    customer = demo.customer(tokens_per_minute=200)
    assert ask(demo, customer).status_code == 200
    demo.settled(customer, 1)
    assert ask(demo, customer).status_code == 200


def test_too_many_tokens(demo: Gateway) -> None:
    """While the first is under way its whole estimate counts; the refusal names the tokens."""
    customer = demo.customer(tokens_per_minute=200)
    slow = {"messages": [{"role": "user", "content": '[[sim {"header_then_delay_ms": 60000}]]'}], "stream": True}
    body = {"model": "gpt-5-mini", "max_tokens": 190, **slow}
    auth = {"authorization": f"Bearer {customer.key}"}
    with HTTP.stream("POST", f"{demo.url}/v1/chat/completions", json=body, headers=auth) as running:
        assert running.status_code == 200
        refused = ask(demo, customer)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (429, "tokens_per_minute_exceeded")


def test_the_official_sdk_sees_a_rate_limit(demo: Gateway) -> None:
    """openai raises its `RateLimitError`, with our code, after it has waited as long as it was told and tried again."""
    customer = demo.customer(requests_per_minute=1)
    client = openai.OpenAI(base_url=f"{demo.url}/v1", api_key=customer.key, max_retries=0)
    say = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
    client.chat.completions.create(**say)  # type: ignore[call-overload]
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**say)  # type: ignore[call-overload]
    assert caught.value.code == "rate_limit_exceeded"
