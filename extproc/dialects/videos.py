"""Videos, as OpenAI's API has them: what a request for one asks for, and what an answer tells of it.

A price may name the `size` (`1280x720`) or the `resolution` (`720p`, the shorter side). Where the caller does not say
how long the video is to be, it is as long as OpenAI makes it (its API reference, "Create video").
"""

import math
import re
from dataclasses import dataclass

import msgspec

from extproc.core.ending import Progress
from extproc.core.quote import Ask
from extproc.dialects import routes
from extproc.dialects.envelope import Envelope, Malformed, counting
from extproc.dialects.media import chosen
from extproc.dialects.multipart import Form

MAX_SECONDS = 3_600
"""OpenAI allows 12; what others allow is theirs to refuse, and the hold is for as many as were asked for."""

DEFAULT_SECONDS = 4

MAX_ANSWER_BYTES = 1_048_576
"""What tells of a video has some hundred bytes."""

_PIXELS = re.compile(r"([0-9]{2,5})x([0-9]{2,5})")

_PROGRESS = {
    "completed": Progress.DONE,
    "succeeded": Progress.DONE,
    "failed": Progress.FAILED,
    "cancelled": Progress.FAILED,
    "canceled": Progress.FAILED,
    "expired": Progress.FAILED,
}
"""The words for a task's end; those who speak OpenAI's API have some of their own. All others are not its end."""


def read_json(envelope: Envelope, _route: routes.Route, _text: int, _attachments: int) -> Ask:
    """A request as JSON, where the number of seconds is a string or a number."""
    return _ask(envelope, envelope.get("seconds", object))


def read_form(form: Form) -> Ask:
    """The same as a form, which may hold a picture to begin with."""
    return _ask(form, form.get("seconds", str))


def _ask(fields: Envelope | Form, seconds: object) -> Ask:
    size = chosen("size", fields.get("size", str))
    pixels = _PIXELS.fullmatch(size)
    resolution = f"{min(map(int, pixels.groups()))}p" if pixels else size
    return Ask(
        model=fields.require_string("model"),
        units=_seconds(seconds) * 1_000,
        said={"size": size, "resolution": resolution},
    )


def _seconds(value: object) -> int:
    if value is None:
        return DEFAULT_SECONDS
    text = str(value) if isinstance(value, int | str) else ""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Malformed("'seconds' must be a whole number.", "seconds")
    return counting("seconds", int(text), MAX_SECONDS) or DEFAULT_SECONDS


class _Video(msgspec.Struct):
    id: str | None = None
    status: str | None = None
    seconds: object = None


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer tells of a video: its id (None where none can be used), how far it is, how long in milliseconds.

    `units` is 0 where the answer does not say.
    """

    task_id: str | None
    progress: Progress
    units: int = 0


def read_answer(body: bytes) -> Told | None:
    """What the vendor's answer tells; None for what is no such answer."""
    if len(body) > MAX_ANSWER_BYTES:
        return None
    try:
        video = msgspec.json.decode(body, type=_Video)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    task_id = video.id if video.id and routes.TASK_ID.fullmatch(video.id) else None
    return Told(task_id, _PROGRESS.get(video.status or "", Progress.UNDER_WAY), _milliseconds(video.seconds))


def _milliseconds(seconds: object) -> int:
    """What a vendor says that nobody would ask for is not believed."""
    try:
        number = float(str(seconds))
    except ValueError:
        return 0
    return round(number * 1_000) if math.isfinite(number) and 0 < number <= MAX_SECONDS else 0
