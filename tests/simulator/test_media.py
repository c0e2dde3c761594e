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


async def test_streamed_pictures(client: openai.AsyncOpenAI) -> None:
    """As many sketches as chunks, and the picture with its tokens at the end, drawn or edited."""
    prompt = said(input=10, image=4, output=30, output_image=28)
    drawn = await client.images.generate(model="m", prompt=prompt, stream=True, partial_images=2)
    edited = await client.images.edit(model="m", prompt=prompt, stream=True, image=[("a.png", b"a")])
    for kind, stream in (("image_generation", drawn), ("image_edit", edited)):
        *sketches, last = [event async for event in stream]
        assert [(each.type, each.to_dict()["partial_image_index"]) for each in sketches] == [
            (f"{kind}.partial_image", index) for index in range(2)
        ]
        assert last.type == f"{kind}.completed"
        usage: Any = last.to_dict()["usage"]
        assert (usage["input_tokens_details"]["image_tokens"], usage["total_tokens"]) == (4, 40)
        assert usage["output_tokens_details"] == {"text_tokens": 2, "image_tokens": 28}


async def test_a_streamed_transcript(client: openai.AsyncOpenAI) -> None:
    """Its words one by one, and all of them with their tokens at the end."""
    stream = await client.audio.transcriptions.create(
        model="m", file=("a.mp3", b"ID3"), prompt=said(input=10, audio=8, output=2), stream=True
    )
    *deltas, done = [event async for event in stream]
    assert [event.to_dict()["delta"] for event in deltas] == ["w0", " w1"]
    assert done.type == "transcript.text.done"
    assert (done.text, done.usage and done.usage.to_dict()["input_token_details"]) == (
        "w0 w1",
        {"text_tokens": 2, "audio_tokens": 8},
    )


async def test_streamed_speech(client: openai.AsyncOpenAI) -> None:
    """Sound in events, and the tokens in the last one."""
    api = client.audio.speech.with_streaming_response
    async with api.create(model="m", voice="alloy", input=said(output=90), stream_format="sse") as answer:
        events = [json.loads(line[6:]) async for line in answer.iter_lines() if line.startswith("data: ")]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * 2 + ["speech.audio.done"]
    assert events[-1]["usage"] == {"input_tokens": 1, "output_tokens": 90, "total_tokens": 91}


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
