"""The official OpenAI SDK against the simulator."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from extproc.simulator import Simulator, Usage

USAGE = {"input": 20, "output": 9, "cached": 6, "cache_write": 2, "reasoning": 4}
PROMPT = "say it [[sim " + json.dumps({"chunks": 3, "usage": USAGE}) + "]]"
CHAT: Any = {"model": "gpt-x", "messages": [{"role": "user", "content": PROMPT}]}
RESPONSE: Any = {"model": "gpt-x", "input": PROMPT}
WITH_USAGE: Any = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """The async client, at vendor `a`."""
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{sim.url}/a/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def sync_client(sim: Simulator) -> openai.OpenAI:
    """The sync client, at vendor `a`; to be used in a thread."""
    return openai.OpenAI(api_key="k", base_url=f"{sim.url}/a/v1", max_retries=0)


def _assert_usage(answer: ChatCompletion | ChatCompletionChunk) -> None:
    usage = answer.usage
    assert usage
    assert usage.prompt_tokens_details
    assert usage.completion_tokens_details
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (20, 9, 29)
    assert usage.prompt_tokens_details.cached_tokens == 6
    assert usage.completion_tokens_details.reasoning_tokens == 4


def _assert_streamed(chunks: list[ChatCompletionChunk]) -> None:
    *chunks, last = chunks
    assert last.choices == []
    _assert_usage(last)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "w0", " w1", " w2", None]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 4 + ["stop"]
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks)
    assert {chunk.model for chunk in chunks} == {"gpt-x"}
    assert len({chunk.id for chunk in [*chunks, last]}) == 1


async def test_chat(client: openai.AsyncOpenAI) -> None:
    """A chat completion has the words, the model asked for, and the usage scripted."""
    answer = await client.chat.completions.create(**CHAT)
    assert (answer.model, answer.choices[0].message.content) == ("gpt-x", "w0 w1 w2")
    assert answer.choices[0].finish_reason == "stop"
    _assert_usage(answer)


async def test_chat_sync(sync_client: openai.OpenAI) -> None:
    """The sync client reads the same."""
    answer = await asyncio.to_thread(lambda: sync_client.chat.completions.create(**CHAT))
    assert answer.choices[0].message.content == "w0 w1 w2"
    _assert_usage(answer)


async def test_chat_stream_with_usage(client: openai.AsyncOpenAI) -> None:
    """Asked for, usage comes in a last chunk without choices, and is null in all others."""
    _assert_streamed([chunk async for chunk in await client.chat.completions.create(**CHAT, **WITH_USAGE)])


async def test_chat_stream_sync(sync_client: openai.OpenAI) -> None:
    """The sync client reads the same stream."""
    _assert_streamed(await asyncio.to_thread(lambda: list(sync_client.chat.completions.create(**CHAT, **WITH_USAGE))))


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
async def test_chat_stream_without_usage(client: openai.AsyncOpenAI, sim: Simulator, options: Any) -> None:
    """Not asked for, usage is nowhere in a stream, and the totals do not count it."""
    chunks = [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True, **options)]
    assert all(chunk.choices for chunk in chunks)
    assert not any("usage" in chunk.model_fields_set for chunk in chunks)
    assert (sim.received[0].usage, sim.received[0].said_usage, sim.totals) == (Usage(**USAGE), False, {})


async def test_responses(client: openai.AsyncOpenAI) -> None:
    """A response has the words, the model and the usage."""
    answer = await client.responses.create(**RESPONSE)
    assert (answer.model, answer.status, answer.output_text) == ("gpt-x", "completed", "w0 w1 w2")
    assert answer.usage
    assert answer.usage.model_dump(exclude_none=True) == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 2},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    }


async def test_responses_stream(client: openai.AsyncOpenAI) -> None:
    """A response's stream is the whole sequence of events, numbered without a gap, usage in the last."""
    events: list[Any] = [event async for event in await client.responses.create(**RESPONSE, stream=True)]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.delta for event in events[4:7]] == ["w0", " w1", " w2"]
    assert events[-1].response.output_text == events[7].text == "w0 w1 w2"
    assert events[0].response.usage is None
    assert events[-1].response.usage.total_tokens == 29


async def test_responses_stream_helper(sync_client: openai.OpenAI) -> None:
    """The SDK's accumulating helper accepts the sequence."""

    def final_text() -> str:
        with sync_client.responses.stream(**RESPONSE) as stream:
            return stream.get_final_response().output_text

    assert await asyncio.to_thread(final_text) == "w0 w1 w2"


async def test_embeddings(client: openai.AsyncOpenAI, sim: Simulator) -> None:
    """Base64, the SDK's default, and plain numbers say the same; the input's words are its usage."""
    inputs = ["one two", "three"]
    encoded = await client.embeddings.create(model="emb", input=inputs)
    plain = await client.embeddings.create(model="emb", input=inputs, encoding_format="float")
    assert b'"encoding_format":"base64"' in (sim.received[0].body or b"").replace(b" ", b"")
    assert [item.embedding for item in encoded.data] == [item.embedding for item in plain.data]
    assert [len(item.embedding) for item in plain.data] == [8, 8]
    assert plain.usage.model_dump() == {"prompt_tokens": 3, "total_tokens": 3}


@pytest.mark.parametrize(
    ("given", "vectors", "tokens"), [("a b", 1, 2), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), (["a"], 1, 1)]
)
async def test_embedding_inputs(client: openai.AsyncOpenAI, given: Any, vectors: int, tokens: int) -> None:
    """Every shape of input makes its number of vectors, of the dimensions asked for, and its tokens."""
    answer = await client.embeddings.create(model="emb", input=given, dimensions=5)
    assert ([len(item.embedding) for item in answer.data], answer.usage.prompt_tokens) == ([5] * vectors, tokens)


async def test_models(client: openai.AsyncOpenAI) -> None:
    """There is a list of models."""
    assert [model.id async for model in client.models.list()] == ["sim-model"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors(
    client: openai.AsyncOpenAI, status: int, error: type[openai.APIStatusError], stream: bool
) -> None:
    """A scripted status is the SDK's exception for it, with `retry-after`."""
    prompt = f'[[sim {{"status": {status}, "retry_after": 7}}]]'
    with pytest.raises(error) as raised:
        await client.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt}], stream=stream)
    assert (raised.value.status_code, raised.value.response.headers["retry-after"]) == (status, "7")
    assert raised.value.type
