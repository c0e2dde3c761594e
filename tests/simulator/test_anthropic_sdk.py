"""The official Anthropic SDK against the simulator."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from extproc.simulator import Simulator, Usage

USAGE = {"input": 20, "output": 9, "cached": 6, "cache_write": 2, "reasoning": 4}
PROMPT = "say it [[sim " + json.dumps({"chunks": 3, "usage": USAGE}) + "]]"
ASK: Any = {"model": "claude-x", "max_tokens": 64, "messages": [{"role": "user", "content": PROMPT}]}


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """The async client, at vendor `b`."""
    async with anthropic.AsyncAnthropic(api_key="k", base_url=f"{sim.url}/b", max_retries=0) as client:
        yield client


@pytest.fixture
def sync_client(sim: Simulator) -> anthropic.Anthropic:
    """The sync client, at vendor `b`; to be used in a thread."""
    return anthropic.Anthropic(api_key="k", base_url=f"{sim.url}/b", max_retries=0)


def _assert_message(message: anthropic.types.Message, sim: Simulator) -> None:
    assert isinstance(message.content[0], anthropic.types.TextBlock)
    assert (message.model, message.content[0].text, message.stop_reason) == ("claude-x", "w0 w1 w2", "end_turn")
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (12, 6, 2)
    assert usage.output_tokens == 9
    assert usage.output_tokens_details
    assert usage.output_tokens_details.thinking_tokens == 4
    assert sim.received[-1].usage == Usage(**USAGE)


async def test_message(client: anthropic.AsyncAnthropic, sim: Simulator) -> None:
    """A message has the words and the model; its input tokens leave out both cache classes."""
    _assert_message(await client.messages.create(**ASK), sim)


async def test_message_sync(sync_client: anthropic.Anthropic, sim: Simulator) -> None:
    """The sync client reads the same."""
    _assert_message(await asyncio.to_thread(lambda: sync_client.messages.create(**ASK)), sim)


async def test_stream_events(client: anthropic.AsyncAnthropic) -> None:
    """A stream is the documented sequence; the input is known at its start, the output at its end."""
    events: list[Any] = [event async for event in await client.messages.create(**ASK, stream=True)]
    assert [event.type for event in events if event.type != "ping"] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event.delta.text for event in events if event.type == "content_block_delta"] == ["w0", " w1", " w2"]
    started, ended = events[0].message.usage, events[-2].usage
    assert (started.input_tokens, started.cache_read_input_tokens, started.cache_creation_input_tokens) == (12, 6, 2)
    assert (started.output_tokens, ended.output_tokens) == (1, 9)


async def test_stream_helper(client: anthropic.AsyncAnthropic, sim: Simulator) -> None:
    """The SDK's accumulating helper makes the same message of the stream."""
    async with client.messages.stream(**ASK) as stream:
        assert "".join([text async for text in stream.text_stream]) == "w0 w1 w2"
        _assert_message(await stream.get_final_message(), sim)


async def test_stream_helper_sync(sync_client: anthropic.Anthropic, sim: Simulator) -> None:
    """The sync helper does, too."""

    def final_message() -> anthropic.types.Message:
        with sync_client.messages.stream(**ASK) as stream:
            return stream.get_final_message()

    _assert_message(await asyncio.to_thread(final_message), sim)


async def test_count_tokens(client: anthropic.AsyncAnthropic, sim: Simulator) -> None:
    """Counting counts the words of system and messages, directives apart, and is free."""
    answer = await client.messages.count_tokens(
        model="claude-x", system="be brief", messages=[{"role": "user", "content": 'a b c [[sim {"chunks": 1}]]'}]
    )
    assert answer.input_tokens == 5
    assert (sim.received[0].usage, sim.totals) == (None, {})


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors(
    client: anthropic.AsyncAnthropic, status: int, error: type[anthropic.APIStatusError], kind: str, stream: bool
) -> None:
    """A scripted status is the SDK's exception for it, in Anthropic's shape, with `retry-after`."""
    prompt = f'[[sim {{"status": {status}, "retry_after": 7}}]]'
    with pytest.raises(error) as raised:
        await client.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": prompt}], stream=stream
        )
    body: Any = raised.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert raised.value.response.headers["retry-after"] == "7"
