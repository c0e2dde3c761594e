"""Every operation through the official SDKs: the text arrives unchanged, the usage is charged to the nano."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from extproc.core.money import parse_usd
from tests.e2e.bills import PriceList, assert_charged, scripted
from tests.e2e.harness import HTTP, Gateway, gateway
from tests.e2e.sdks import CALLS, FREE_CALLS, PRICED_CALLS, Call, run, run_async

USAGE = {"input": 1003, "output": 89, "cached": 307, "cache_write": 211, "reasoning": 37}
"""Primes, so that no two ways to add them up agree."""

CHANNELS = """
channels:
  a:
    dialect: openai
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/a/v1
    models: {gpt-5: , text-embedding-3-small: }
  b:
    dialect: anthropic
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/b
    models: {claude-opus-4-5: }
  c:
    dialect: gemini
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/c
    models: {gemini-2.5-pro: , gemini-embedding-001: }
"""
GROUPS = """
groups:
  default: {multiplier: 0.950007, channels: [{channel: a}, {channel: b}, {channel: c}]}
"""
MODELS = """
models:
  gpt-5: &priced
    price:
      input: 1.234567891
      cache_read: 0.123456787
      cache_write: 1.543209877
      output: 9.876543211
      reasoning: 7.654321013
    max_output_tokens: 4096
  claude-opus-4-5: *priced
  gemini-2.5-pro: *priced
  text-embedding-3-small: &embedding
    price: {input: 0.020000009}
  gemini-embedding-001: *embedding
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, PriceList]]:
    """A gateway where every class of token has a price of its own, to nine decimals, under an odd multiplier."""
    config = tmp_path_factory.mktemp("odd")
    for name, text in {"channels": CHANNELS, "groups": GROUPS, "models": MODELS}.items():
        (config / f"{name}.yaml").write_text(text)
    with gateway(config, tmp_path_factory.mktemp("data"), workers=1) as running:
        yield running, PriceList.of(config)


def called(call: Call, is_async: bool, url: str, key: str, prompt: str) -> str:
    """The text of one call with a sync or an async client."""
    if not is_async:
        return run(call, call.client(url, key, False), prompt)

    async def go() -> str:
        return await run_async(call, call.client(url, key, True), prompt)

    return asyncio.run(go())


def totals(running: Gateway) -> dict[str, Any]:
    """What the simulator says it told of usage, by model."""
    found: dict[str, Any] = HTTP.get(f"{running.simulator_url}/_sim/totals").json()
    return found


both = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@both
@pytest.mark.parametrize("call", PRICED_CALLS, ids=lambda call: call.name)
def test_a_call_is_charged_to_the_nano(odd: tuple[Gateway, PriceList], call: Call, is_async: bool) -> None:
    """The SDK gets the vendor's text; each class of token costs its own rate; both accounts and the vendor agree."""
    running, prices = odd
    running.forget_received()
    customer = running.customer(usd="5")

    text = called(call, is_async, running.url, customer.key, scripted(chunks=7, usage=USAGE))

    assert text == (call.expect or "w0 w1 w2 w3 w4 w5 w6")
    (record,) = running.settled(customer, records=1)
    told = {name: USAGE[name] for name in call.says}
    assert record["state"] == "REPORTED"
    assert (record["operation"], record["model"], record["stream"]) == (call.operation, call.model, call.stream)
    assert record["charged_nano"] == prices.nano(call.model, told)
    assert_charged(running, customer, prices.nano(call.model, told), parse_usd("5"))
    said = totals(running)[call.model]
    assert {name: said[name] for name in told} == told
    assert said["requests"] == 1


@both
@pytest.mark.parametrize("call", FREE_CALLS, ids=lambda call: call.name)
def test_counting_tokens_is_free_and_leaves_a_record(
    odd: tuple[Gateway, PriceList], call: Call, is_async: bool
) -> None:
    """count_tokens gives the vendor's count; it costs nothing, works with an empty wallet, and is on record."""
    running, _ = odd
    customer = running.customer(usd="0")

    text = called(call, is_async, running.url, customer.key, scripted(usage={"input": 1003}))

    assert text == "1003"
    (record,) = running.settled(customer, records=1)
    assert (record["operation"], record["charged_nano"], record["status"]) == (call.operation, 0, 200)
    assert_charged(running, customer, 0, 0)


@pytest.mark.parametrize("verb", ["embedContent", "batchEmbedContents"])
def test_both_of_geminis_embedding_methods_are_charged(odd: tuple[Gateway, PriceList], verb: str) -> None:
    """The SDK uses one of the two; the other is charged as well."""
    running, prices = odd
    customer = running.customer(usd="1")
    content = {"content": {"parts": [{"text": scripted(usage={"input": 1003})}]}}
    body = content if verb == "embedContent" else {"requests": [content]}
    path = f"/v1beta/models/gemini-embedding-001:{verb}"

    answer = HTTP.post(running.url + path, json=body, headers={"x-goog-api-key": customer.key})

    assert answer.status_code == 200
    (record,) = running.settled(customer, records=1)
    assert record["charged_nano"] == prices.nano("gemini-embedding-001", {"input": 1003})


def test_a_stream_of_json_without_sse_is_charged(odd: tuple[Gateway, PriceList]) -> None:
    """Gemini streams one JSON array unless `alt=sse` asks otherwise: that too is charged at its usage."""
    running, prices = odd
    customer = running.customer(usd="1")
    body = {"contents": [{"parts": [{"text": scripted(chunks=7, usage=USAGE)}]}]}
    path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"

    answer = HTTP.post(running.url + path, json=body, headers={"x-goog-api-key": customer.key})

    assert len(answer.json()) == 8
    (record,) = running.settled(customer, records=1)
    assert record["charged_nano"] == prices.nano("gemini-2.5-pro", USAGE | {"cache_write": 0})


def test_two_hundred_at_once_add_up(demo: Gateway) -> None:
    """200 concurrent async calls over all dialects by two owners: the charges are the simulator's totals × rates."""
    demo.forget_received()
    customers = [demo.customer(usd="100"), demo.customer(usd="100")]
    work = [(call, customers[number % 2], number) for number, call in enumerate((CALLS * 10)[:200])]

    async def everything() -> list[str]:
        clients = {(call.name, customer.key): call.client(demo.url, customer.key, True) for call, customer, _ in work}
        return await asyncio.gather(
            *(
                run_async(call, clients[call.name, customer.key], scripted(chunks=n % 9 + 1, usage=_usage(n)))
                for call, customer, n in work
            )
        )

    texts = asyncio.run(everything())

    for (call, _, n), text in zip(work, texts, strict=True):
        words = " ".join(f"w{index}" for index in range(n % 9 + 1))
        assert text == (call.expect or (words if call.says else str(_usage(n)["input"]))), call.name
    records = [record for customer in customers for record in demo.settled(customer, records=100)]
    prices, said = PriceList.of(demo.settings.config), totals(demo)
    assert len(records) == 200
    assert {record["state"] for record in records if record["charged_nano"]} == {"REPORTED"}
    assert sum(record["charged_nano"] for record in records) == sum(
        prices.nano(model, usage) for model, usage in said.items()
    )
    assert sum(usage["requests"] for usage in said.values()) == sum(bool(call.says) for call, _, _ in work)
    for customer in customers:
        spent = sum(record["charged_nano"] for record in records if record["owner"] == customer.owner)
        assert_charged(demo, customer, spent, parse_usd("100"))


def _usage(n: int) -> dict[str, int]:
    return {"input": 100 + n, "output": 50 + n, "cached": 10 + n % 7, "cache_write": n % 11, "reasoning": n % 13}
