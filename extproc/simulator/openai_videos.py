"""OpenAI's videos: made after the answer, and asked for by id until they are there.

They are `queued` when they are asked for, and `in_progress` until so many questions about them were answered as their
script says. Shapes as of https://platform.openai.com/docs/api-reference/videos.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from extproc.simulator.answer import Answer, Ask, Turn, whole
from extproc.simulator.errors import error_body
from extproc.simulator.openai_chat import headers
from extproc.simulator.openai_forms import fields
from extproc.simulator.script import VideoScript

CONTENT = b"\x00\x00\x00\x18ftypmp42 simulated"
_MOST_KEPT = 10_000


class _Request(Struct):
    model: str
    prompt: str = ""
    seconds: str | int = "4"
    size: str = "720x1280"


class _Video(Struct):
    id: str
    request: _Request
    created: int
    script: VideoScript
    asked: int = -1

    @property
    def status(self) -> str:
        if self.asked < 0:
            return "queued"
        return "in_progress" if self.asked < self.script.polls else self.script.ends


_made: OrderedDict[str, _Video] = OrderedDict()
"""By id. Those of all simulators of a process: an id is never given twice, unless a script says so."""


def read(body: bytes) -> Ask:
    """What `POST /videos` asks for, as JSON or as a form."""
    form = body.startswith(b"--")
    request = msgspec.convert(fields(body), _Request) if form else msgspec.json.decode(body, type=_Request)
    return Ask(request.model, partial(_make, request), user=(request.prompt,), metered=False)


def _make(request: _Request, turn: Turn) -> Answer:
    script = turn.script.video
    video = _Video(f"video_{uuid.uuid4().hex}" if script.id is None else script.id, request, turn.created, script)
    _made[video.id] = video
    if len(_made) > _MOST_KEPT:
        _made.popitem(last=False)
    answer = _answer(turn, _told(video))
    return _bytes(answer, b"<html>", "text/html") if script.not_json else answer


def read_about(method: str, video_id: str, content: bool = False) -> Callable[[bytes], Ask] | None:
    """What a request about a video, or its content, asks for."""
    respond = _ABOUT.get((method, content))
    return partial(_about, respond, video_id) if respond else None


def _about(respond: "Callable[[_Video, Turn], Answer]", video_id: str, _body: bytes) -> Ask:
    video = _made.get(video_id)
    if video is None:
        return Ask("", _unknown, metered=False)
    return Ask(video.request.model, partial(respond, video), metered=False)


def _show(video: _Video, turn: Turn) -> Answer:
    if video.script.poll_status != 200:
        return _error(video.script.poll_status, turn)
    video.asked += 1
    return _answer(turn, _told(video))


def _content(video: _Video, turn: Turn) -> Answer:
    if max(video.asked, 0) < video.script.polls or video.script.ends != "completed":
        return _error(404, turn)
    return _bytes(_answer(turn, {}), CONTENT.ljust(video.script.content_bytes, b"\0"), "video/mp4")


def _delete(video: _Video, turn: Turn) -> Answer:
    del _made[video.id]
    return _answer(turn, {"id": video.id, "object": "video.deleted", "deleted": True})


def _unknown(turn: Turn) -> Answer:
    return _error(404, turn)


def _told(video: _Video) -> dict[str, Any]:
    seconds, request = video.script.seconds, video.request
    return {
        "id": video.id,
        "object": "video",
        "created_at": video.created,
        "status": video.status,
        "model": request.model,
        "progress": 100 if video.asked >= video.script.polls else 0,
        "seconds": str(request.seconds) if seconds is None else f"{seconds:g}",
        "size": request.size,
    }


def _answer(turn: Turn, payload: dict[str, Any]) -> Answer:
    return whole(turn.script, payload, headers=headers(turn))


def _error(status: int, turn: Turn) -> Answer:
    return whole(turn.script, error_body("openai", status, "simulator: no such video", turn.seq), status=status)


def _bytes(answer: Answer, content: bytes, content_type: str) -> Answer:
    return msgspec.structs.replace(
        answer,
        headers=(("content-type", content_type), *answer.headers[1:]),
        frames=lambda _start, _stop: content,
        length=len(content),
    )


_ABOUT = {("GET", False): _show, ("GET", True): _content, ("DELETE", False): _delete}
"""What a method does to a video, and whether it is about its content."""
