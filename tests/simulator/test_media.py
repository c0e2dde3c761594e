"""The official OpenAI SDK's calls beside text against the simulator: each answers in its own shape."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from extproc.simulator import Simulator


def said(**usage: Any) -> str:
    """A prompt of two words' answer and this usage."""
    return "say [[sim " + json.dumps({"chunks": 2, "usage": usage}) + "]]"


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """The async client, at vendor `a`."""
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{sim.url}/a/v1", max_retries=0) as client:
        yield client


async def test_pictures(client: openai.AsyncOpenAI) -> None:
    """As many as were asked for, drawn or edited, with the tokens of text and images told apart."""
    prompt = said(input=10, image=4, output=30)
    drawn = await client.images.generate(model="m", prompt=prompt, n=3)
    edited = await client.images.edit(model="m", prompt=prompt, n=2, image=[("a.png", b"a"), ("b.png", b"b")])
    assert (len(drawn.data or ()), len(edited.data or ())) == (3, 2)
    for usage in (drawn.usage, edited.usage):
        assert usage
        assert (usage.input_tokens, usage.input_tokens_details.image_tokens, usage.output_tokens) == (10, 4, 30)


@pytest.mark.parametrize(
    ("script", "usage"),
    [
        ({"seconds": 7.5}, {"type": "duration", "seconds": 7.5}),
        (
            {"input": 10, "audio": 8, "output": 2},
            {
                "type": "tokens",
                "input_tokens": 10,
                "input_token_details": {"text_tokens": 2, "audio_tokens": 8},
                "output_tokens": 2,
                "total_tokens": 12,
            },
        ),
    ],
)
async def test_transcripts(client: openai.AsyncOpenAI, script: dict[str, Any], usage: dict[str, Any]) -> None:
    """By the second or by the token, as the script says."""
    answer = await client.audio.transcriptions.create(model="m", file=("a.mp3", b"ID3"), prompt=said(**script))
    assert (answer.text, answer.usage and answer.usage.model_dump()) == ("w0 w1", usage)


async def test_speech_and_moderation(client: openai.AsyncOpenAI) -> None:
    """Sound that begins as an MP3 does, and a verdict; neither says its usage."""
    spoken = await client.audio.speech.create(model="m", voice="alloy", input="hello")
    judged = await client.moderations.create(model="m", input="hello")
    assert spoken.content.startswith(b"ID3")
    assert [result.flagged for result in judged.results] == [False]


@pytest.mark.parametrize("body", [b"", b"--x\r\n", b"--x\r\n\r\n1\r\n--x--", b'{"model": "m"}'])
async def test_what_is_no_form(client: openai.AsyncOpenAI, body: bytes) -> None:
    """A body that is no form, or names no model, is refused."""
    with pytest.raises(openai.BadRequestError):
        await client.post("/audio/transcriptions", content=body, cast_to=object)
