"""The official OpenAI SDK's calls about videos against the simulator: made step by step, as the script says."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from extproc.simulator import Simulator

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


def prompt(**video: Any) -> str:
    """A prompt that says how the video is made."""
    return "a cat [[sim " + json.dumps({"video": video}) + "]]"


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """The async client, at vendor `a`."""
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{sim.url}/a/v1", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("ends", ["completed", "failed"])
async def test_a_video_is_made_step_by_step(client: openai.AsyncOpenAI, ends: str) -> None:
    """Queued, in progress for as many questions as the script says, then at its end for good."""
    video = await client.videos.create(model="sora-2", prompt=prompt(polls=2, ends=ends), seconds="8", size="1280x720")
    assert (video.status, video.seconds, video.size, video.model) == ("queued", "8", "1280x720", "sora-2")
    statuses = [(await client.videos.retrieve(video.id)).status for _ in range(4)]
    assert statuses == ["in_progress", "in_progress", ends, ends]


async def test_its_content_is_there_once_it_is_made(client: openai.AsyncOpenAI) -> None:
    """As many bytes as the script says, and none before; nothing of it after it is deleted."""
    video = await client.videos.create(model="m", prompt=prompt(polls=1, content_bytes=100_000))
    with pytest.raises(openai.NotFoundError):
        await client.videos.download_content(video.id)
    for _ in range(2):
        await client.videos.retrieve(video.id)
    content = (await client.videos.download_content(video.id)).content
    assert (len(content), content[4:8]) == (100_000, b"ftyp")
    assert (await client.videos.delete(video.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.videos.retrieve(video.id)


async def test_what_a_script_says_of_a_video(client: openai.AsyncOpenAI) -> None:
    """Another id, another length, an error for every question; and an answer that is no JSON."""
    video = await client.videos.create(model="m", prompt=prompt(id="v_1", seconds=6.5, poll_status=500))
    assert (video.id, video.seconds) == ("v_1", "6.5")
    with pytest.raises(openai.InternalServerError):
        await client.videos.retrieve("v_1")
    raw = await client.videos.with_raw_response.create(model="m", prompt=prompt(not_json=True))
    assert raw.http_response.text == "<html>"


async def test_a_video_as_json(client: openai.AsyncOpenAI) -> None:
    """Asked for as JSON it is the same; a method that nothing does is not there."""
    made: Any = await client.post("/videos", body={"model": "m", "prompt": "a", "seconds": 8}, cast_to=object)
    assert made["seconds"] == "8"
    with pytest.raises(openai.NotFoundError):
        await client.post(f"/videos/{made['id']}/remix", body={}, cast_to=object)
    with pytest.raises(openai.NotFoundError):
        await client.delete(f"/videos/{made['id']}/content", cast_to=object)
