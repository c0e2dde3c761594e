"""Imagen's `:predict`, as of https://ai.google.dev/gemini-api/docs/imagen.

Its answer tells no usage. Of an image that it has filtered there is a reason, or nothing.
"""

import base64
from functools import partial

import msgspec
from msgspec import Struct

from extproc.simulator.answer import Answer, Ask, BadRequestError, Turn, whole
from extproc.simulator.openai_media import PICTURE


class _Instance(Struct):
    prompt: str = ""


class _Parameters(Struct, frozen=True, rename="camel"):
    sample_count: int = 4


class _Request(Struct):
    instances: list[_Instance]
    parameters: _Parameters = _Parameters()


_decode = msgspec.json.Decoder(_Request).decode


def read(body: bytes, model: str) -> Ask:
    """What a request for images asks for. Raises msgspec.MsgspecError, BadRequestError."""
    request = _decode(body)
    if not request.instances:
        raise BadRequestError("instances is empty")
    user = tuple(instance.prompt for instance in request.instances)
    respond = partial(_images, request.parameters.sample_count * len(request.instances))
    return Ask(model=model, user=user, respond=respond, classes=(), says_usage=False)


def _images(count: int, turn: Turn) -> Answer:
    picture = {"mimeType": "image/png", "bytesBase64Encoded": base64.b64encode(PICTURE).decode()}
    filtered = min(turn.script.usage.filtered, count)
    reasons = [{"raiFilteredReason": "simulated"}] * filtered
    return whole(turn.script, {"predictions": [picture] * (count - filtered) + reasons})
