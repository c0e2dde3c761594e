"""The official Google GenAI SDK against the simulator."""

import asyncio
import json
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from extproc.simulator import Simulator, Usage

USAGE = {"input": 20, "output": 9, "cached": 6, "cache_write": 2, "reasoning": 3}
PROMPT = "say it [[sim " + json.dumps({"chunks": 3, "usage": USAGE}) + "]]"
ASK: Any = {"model": "gemini-2.5-flash", "contents": PROMPT}


@pytest.fixture
def client(sim: Simulator) -> genai.Client:
    """The client, at vendor `g`; its sync half is to be used in a thread."""
    return genai.Client(api_key="k", http_options=types.HttpOptions(base_url=f"{sim.url}/g"))


def _numbers(answer: types.GenerateContentResponse) -> tuple[int | None, ...]:
    usage = answer.usage_metadata
    assert usage
    return (
        usage.prompt_token_count,
        usage.cached_content_token_count,
        usage.candidates_token_count,
        usage.thoughts_token_count,
        usage.total_token_count,
    )


async def _generate(client: genai.Client, prompt: str) -> None:
    await client.aio.models.generate_content(model="g", contents=prompt)


async def _stream_to_the_end(client: genai.Client, prompt: str) -> None:
    async for _ in await client.aio.models.generate_content_stream(model="g", contents=prompt):
        pass


def _assert_streamed(chunks: list[types.GenerateContentResponse]) -> None:
    assert [chunk.text for chunk in chunks] == ["w0", " w1", " w2", ""]
    assert [_numbers(chunk) for chunk in chunks] == [
        (20, 6, 2, 3, 25),
        (20, 6, 4, 3, 27),
        (20, 6, 6, 3, 29),
        (20, 6, 6, 3, 29),
    ]
    candidates = [candidate for chunk in chunks for candidate in chunk.candidates or ()]
    assert [candidate.finish_reason for candidate in candidates] == [None, None, None, types.FinishReason.STOP]
    assert {chunk.model_version for chunk in chunks} == {"gemini-2.5-flash"}
    assert len({chunk.response_id for chunk in chunks}) == 1


async def test_generate(client: genai.Client, sim: Simulator) -> None:
    """An answer has the words and the model; candidates leave out thoughts; cache writes have no word."""
    answer = await client.aio.models.generate_content(**ASK)
    assert (answer.text, answer.model_version) == ("w0 w1 w2", "gemini-2.5-flash")
    assert _numbers(answer) == (20, 6, 6, 3, 29)
    assert sim.received[0].usage == Usage(**USAGE | {"cache_write": 0})


async def test_generate_sync(client: genai.Client) -> None:
    """The sync client reads the same."""
    answer = await asyncio.to_thread(client.models.generate_content, **ASK)
    assert (answer.text, _numbers(answer)) == ("w0 w1 w2", (20, 6, 6, 3, 29))


async def test_stream(client: genai.Client) -> None:
    """A stream says the numbers so far with each word, and all of them with the reason it ends."""
    _assert_streamed([chunk async for chunk in await client.aio.models.generate_content_stream(**ASK)])


async def test_stream_sync(client: genai.Client) -> None:
    """The sync client reads the same stream."""
    _assert_streamed(await asyncio.to_thread(lambda: list(client.models.generate_content_stream(**ASK))))


async def test_zeros_are_left_out(client: genai.Client) -> None:
    """As in Google's JSON, a number that is zero is absent."""
    answer = await client.aio.models.generate_content(model="g", contents="a b")
    assert _numbers(answer) == (2, None, 5, None, 7)


async def test_modalities(client: genai.Client) -> None:
    """Each number is told by what it is of, the answer's at its end; kinds that are zero are left out."""
    said = {"input": 20, "audio": 5, "image": 4, "cached": 6, "cached_audio": 6, "output": 9, "output_image": 7}
    prompt = "say it [[sim " + json.dumps({"chunks": 2, "usage": said}) + "]]"
    stream = await client.aio.models.generate_content_stream(model="g", contents=prompt)
    usages = [chunk.usage_metadata async for chunk in stream]
    lists = [
        [
            {str(each.modality and each.modality.value): each.token_count for each in details or ()}
            for details in (usage.prompt_tokens_details, usage.cache_tokens_details, usage.candidates_tokens_details)
        ]
        for usage in usages
        if usage
    ]
    prompted = {"TEXT": 11, "AUDIO": 5, "IMAGE": 4}
    assert lists == [[prompted, {"AUDIO": 6}, {}]] * 2 + [[prompted, {"AUDIO": 6}, {"TEXT": 2, "IMAGE": 7}]]


@pytest.mark.filterwarnings("ignore:The generate_images method")
async def test_images(sim: Simulator) -> None:
    """Imagen draws as many as were asked for; only in Vertex mode has the SDK a method for it. It counts no tokens."""
    options = types.HttpOptions(base_url=f"{sim.url}/g")
    client = genai.Client(vertexai=True, api_key="k", http_options=options)
    answer = await client.aio.models.generate_images(model="i", prompt="a cat", config={"number_of_images": 3})
    assert len(answer.generated_images or ()) == 3
    assert sim.received[0].usage == Usage()
    assert not sim.received[0].said_usage


async def test_embeddings(client: genai.Client) -> None:
    """Each content has a vector of the dimensions asked for; the words of all are the usage."""
    answer = await client.aio.models.embed_content(
        model="emb", contents=["a b", "c"], config=types.EmbedContentConfig(output_dimensionality=4)
    )
    assert [len(item.values or ()) for item in answer.embeddings or ()] == [4, 4]
    assert answer.usage_metadata
    assert answer.usage_metadata.prompt_token_count == 3


async def test_count_tokens(client: genai.Client, sim: Simulator) -> None:
    """Counting is free."""
    answer = await client.aio.models.count_tokens(model="g", contents="a b c")
    assert (answer.total_tokens, sim.received[0].usage) == (3, None)


@pytest.mark.parametrize(
    ("status", "error", "name"),
    [
        (400, errors.ClientError, "INVALID_ARGUMENT"),
        (404, errors.ClientError, "NOT_FOUND"),
        (429, errors.ClientError, "RESOURCE_EXHAUSTED"),
        (500, errors.ServerError, "INTERNAL"),
        (503, errors.ServerError, "UNAVAILABLE"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors(client: genai.Client, status: int, error: type[errors.APIError], name: str, stream: bool) -> None:
    """A scripted status is the SDK's exception for it, with Google's name."""
    prompt = f'[[sim {{"status": {status}}}]]'
    ask = _stream_to_the_end if stream else _generate
    with pytest.raises(error) as raised:
        await ask(client, prompt)
    assert (raised.value.code, raised.value.status) == (status, name)
