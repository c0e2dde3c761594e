"""OpenAI's APIs whose body is a form: images to edit, and recordings to write down."""

import re
from functools import partial
from typing import Any

import msgspec

from extproc.simulator.answer import Answer, Ask, BadRequestError, Turn, equal_frames, event, streamed, whole
from extproc.simulator.openai_chat import headers
from extproc.simulator.openai_media import picture_stream, pictures, sums

_SLOT = b"@word@"
_NAME = re.compile(rb'\bname="([^"]*)"')


def fields(body: bytes) -> dict[str, str]:
    """The fields of a form; a file is its size. The last of a name wins. Raises BadRequestError."""
    boundary = body.partition(b"\r\n")[0]
    parts = (b"\r\n" + body).split(b"\r\n" + boundary)
    if len(parts) < 3 or parts[-1].strip() != b"--":
        raise BadRequestError("not a form")
    found: dict[str, str] = {}
    for part in parts[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        named = _NAME.search(head)
        if named is None:
            raise BadRequestError("a part without a name")
        found[named[1].decode()] = str(len(value)) if b"filename" in head else value.decode()
    if not found.get("model"):
        raise BadRequestError("no model")
    return found


def read_edit(body: bytes) -> Ask:
    """What `POST /images/edits` asks for."""
    said = fields(body)
    streams = said.get("stream") == "true"
    respond = partial(picture_stream, "image_edit") if streams else partial(pictures, int(said.get("n", "1")))
    return Ask(said["model"], respond, user=(said.get("prompt", ""),), classes=("input", "output"))


def read_transcript(body: bytes) -> Ask:
    """What `POST /audio/transcriptions` and `/translations` ask for."""
    said = fields(body)
    streams = said.get("stream") == "true"
    respond = _transcript_stream if streams else partial(_transcript, said.get("response_format", "json"))
    return Ask(said["model"], respond, user=(said.get("prompt", ""),), classes=("input", "output"))


def _transcript(form: str, turn: Turn) -> Answer:
    if form == "text":
        return _plain(turn)
    payload: dict[str, Any] = {"text": turn.text}
    said = turn.script.usage
    if form == "verbose_json":
        payload |= {"duration": said.seconds, "language": "english", "segments": []}
    elif not turn.script.no_usage:
        payload["usage"] = _tokens(turn) if said.seconds is None else {"type": "duration", "seconds": said.seconds}
    return whole(turn.script, payload, headers=headers(turn))


def _transcript_stream(turn: Turn) -> Answer:
    delta, done = "transcript.text.delta", "transcript.text.done"
    usage = {} if turn.script.no_usage else {"usage": _tokens(turn)}
    frame = event({"type": delta, "delta": _SLOT.decode()}, delta)
    closing = event({"type": done, "text": turn.text} | usage, done)
    return streamed(turn, opening=b"", frames=equal_frames(turn, frame, _SLOT), closing=closing, headers=headers(turn))


def _plain(turn: Turn) -> Answer:
    body = turn.text.encode()
    return msgspec.structs.replace(
        whole(turn.script, {}, headers=headers(turn)),
        headers=(("content-type", "text/plain; charset=utf-8"), *headers(turn)),
        frames=lambda _start, _stop: body,
        length=len(body),
    )


def _tokens(turn: Turn) -> dict[str, Any]:
    usage, audio = turn.usage, turn.script.usage.audio
    details = {"text_tokens": usage.input - audio, "audio_tokens": audio}
    return {"type": "tokens", **sums(turn), "input_token_details": details}
