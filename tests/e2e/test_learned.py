"""What a stream that is cut costs, on the real gateway, once whole ones were learned from."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest

from extproc.clock import now_ms
from extproc.core.learned import Kind, Part
from extproc.core.scale import Sums
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.learned import DAY_MS
from tests.e2e.harness import HTTP, Customer, Gateway, eventually

WHOLE = range(5, 305, 12)
"""The words of the streams that are learned from."""

CUT_AFTER = 150


@dataclass(frozen=True, slots=True)
class Api:
    """A streaming API, on a model that no other test of this gateway asks for."""

    kind: Kind
    path: str
    body: dict[str, Any]


def _said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


APIS = [
    Api(
        Kind("openai.chat", Part.STREAM, "gpt-5-nano"),
        "/v1/chat/completions",
        {"model": "gpt-5-nano", "stream": True, "messages": _said("PROMPT")},
    ),
    Api(
        Kind("openai.responses", Part.STREAM, "gpt-5-nano"),
        "/v1/responses",
        {"model": "gpt-5-nano", "stream": True, "input": "PROMPT"},
    ),
    Api(
        Kind("anthropic.messages", Part.STREAM, "claude-sonnet-4-5"),
        "/v1/messages",
        {"model": "claude-sonnet-4-5", "stream": True, "max_tokens": 500, "messages": _said("PROMPT")},
    ),
    Api(
        Kind("gemini.generate", Part.STREAM, "gemini-2.5-flash-lite"),
        "/v1beta/models/gemini-2.5-flash-lite:streamGenerateContent?alt=sse",
        {"contents": [{"parts": [{"text": "PROMPT"}]}]},
    ),
]


def stream(gateway: Gateway, customer: Customer, api: Api, **script: int) -> int:
    """The bytes of one stream that reached the caller."""
    body = json.dumps(api.body).replace("PROMPT", f"Hello [[sim {json.dumps(script)}]]".replace('"', '\\"'))
    headers = {"authorization": f"Bearer {customer.key}", "content-type": "application/json"}
    size = 0
    try:
        with HTTP.stream("POST", gateway.url + api.path, headers=headers, content=body) as answer:
            for piece in answer.iter_raw():
                size += len(piece)
    except httpx.TransportError:
        assert "reset_after" in script
    return size


def stored(gateway: Gateway, kind: Kind) -> tuple[int, int]:
    """The count and the sum of `y` that the workers have shared of a kind, today and yesterday."""

    async def read() -> tuple[int, int]:
        async with aclosing(Connection(gateway.settings.redis_url)) as connection:
            days = [keys.learned(now_ms() // DAY_MS - ago) for ago in (0, 1)]
            names = [f"{kind.operation}:{kind.part}:{kind.model}:{name}" for name in ("count", "y")]
            found = [[int(await connection.execute("HGET", day, name) or 0) for name in names] for day in days]
            return sum(count for count, _ in found), sum(y for _, y in found)

    return asyncio.run(read())


@pytest.fixture(scope="module")
def taught(demo: Gateway) -> dict[Kind, Sums]:
    """The lessons of whole streams of every API, by the bytes that the caller got; the workers have shared them."""
    customer, expected = demo.customer(), {}
    for api in APIS:
        lessons = (Sums.of(words, stream(demo, customer, api, chunks=words)) for words in WHOLE)
        expected[api.kind] = reduce(add, lessons)
    eventually(lambda: all(stored(demo, api.kind)[0] >= len(WHOLE) for api in APIS), "the workers to share")
    return expected


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.kind.operation)
def test_each_whole_stream_is_learned_from_once(demo: Gateway, taught: dict[Kind, Sums], api: Api) -> None:
    """Trailers and access log both tell of it, with the bytes that the caller got; it counts once."""
    assert stored(demo, api.kind) == (taught[api.kind].count, taught[api.kind].y)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.kind.operation)
@pytest.mark.usefixtures("taught")
def test_a_cut_stream_is_charged_by_what_whole_ones_taught(demo: Gateway, api: Api) -> None:
    """Never above what was produced, and soon 75 % of that or more."""
    customer, ended = demo.customer(), 0

    def charged() -> bool:
        nonlocal ended
        stream(demo, customer, api, chunks=300, reset_after=CUT_AFTER)
        ended += 1
        record = demo.settled(customer, ended)[-1]
        assert record["usage_source"] == "partial"
        assert record["usage"]["output_tokens"] <= CUT_AFTER
        return bool(record["usage"]["output_tokens"] >= 0.75 * CUT_AFTER)

    eventually(charged, "a cut stream to be charged by what was learned")
