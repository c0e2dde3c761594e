"""What a request for images, speech, transcripts or a ranking asks for: units, and what their price depends on."""

import re

import msgspec

from extproc.core.quote import TOKENS_PER_ATTACHMENT, Ask
from extproc.dialects import routes
from extproc.dialects.envelope import Envelope, Malformed, counting
from extproc.dialects.multipart import Form

MAX_IMAGES = 128
"""OpenAI allows 10; what others allow is theirs to refuse, and the hold is for as many as were asked for."""

DOCUMENTS_PER_SEARCH = 100
"""What Cohere counts as one search: a query with up to 100 documents (its pricing page)."""

DEFAULT_SAMPLES = 4
"""What Imagen makes of a request that does not say how many (Google's API reference)."""

LEAST_BYTES_PER_SECOND = 2_000
"""Speech at 16 kbit/s: a recording is rarely longer than its size at this rate, which is what is held."""

MOST_BYTES_PER_SECOND = 192_000
"""Two channels of 48,000 samples of 16 bits: it is no shorter than this, which is charged where nobody counted it."""

AUDIO_TOKENS_PER_SECOND = 17
"""By OpenAI's price list: 6 USD a million tokens of audio are estimated at 0.006 USD a minute."""

_BYTES_PER_ATTACHMENT = LEAST_BYTES_PER_SECOND * TOKENS_PER_ATTACHMENT // AUDIO_TOKENS_PER_SECOND

_CHOICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,31}")
"""A size or a quality: it is kept in the usage record, so it must be too short to hold anything else."""

_AUTO = "auto"
"""What the vendor chooses when the caller does not, in OpenAI's word."""


def rerank(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    """A ranking of documents by their use for a query, as Cohere and Jina have it."""
    documents = envelope.get("documents", list[msgspec.Raw]) or ()
    searches = -(-len(documents) // DOCUMENTS_PER_SEARCH) or 1
    return Ask(envelope.require_string("model"), text_bytes=text, attachments=attachments, units=searches)


def images(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    """So many images of a size and a quality."""
    return _images(envelope, text, attachments)


def image_edits(form: Form) -> Ask:
    """The same, made of others."""
    return _images(form, len(form.get("prompt", str) or ""), len(form.file_bytes))


class _Parameters(msgspec.Struct, rename="camel"):
    sample_count: int | None = None
    sample_image_size: str | None = None


def predict(envelope: Envelope, route: routes.Route, text: int, attachments: int) -> Ask:
    """Imagen's images, in Google's words: so many samples for each instance, less those that it filters."""
    asked = envelope.get("parameters", _Parameters) or _Parameters()
    samples = counting("sampleCount", asked.sample_count, MAX_IMAGES) or DEFAULT_SAMPLES
    count = samples * max(1, len(envelope.get("instances", list[msgspec.Raw]) or ()))
    said = {"size": chosen("sampleImageSize", asked.sample_image_size), "quality": _AUTO}
    return Ask(
        model=route.model or "",
        answers=count,
        text_bytes=text,
        attachments=attachments,
        most_units=count,
        said=said,
        media=True,
    )


def _images(fields: Envelope | Form, text: int, attachments: int) -> Ask:
    count = fields.count("n", MAX_IMAGES) or 1
    return Ask(
        model=fields.require_string("model"),
        stream=fields.get("stream", bool) or False,
        answers=count,
        text_bytes=text,
        attachments=attachments,
        units=count,
        said={name: chosen(name, fields.get(name, str)) for name in ("size", "quality")},
        media=True,
    )


def speech(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    """So many characters, spoken."""
    characters = len(envelope.require_string("input"))
    return Ask(
        model=envelope.require_string("model"),
        stream=envelope.get("stream_format", str) == "sse",
        text_bytes=text,
        attachments=attachments,
        units=characters,
        media=True,
    )


def transcript(form: Form) -> Ask:
    """The words of a recording, as long as its file may be. A price by tokens is held for as much sound."""
    size = sum(form.file_bytes)
    return Ask(
        model=form.require_string("model"),
        stream=form.get("stream", bool) or False,
        text_bytes=len((form.get("prompt", str) or "").encode()),
        attachments=-(-size // _BYTES_PER_ATTACHMENT),
        units=size * 1_000 // MOST_BYTES_PER_SECOND,
        most_units=-(-size * 1_000 // LEAST_BYTES_PER_SECOND) or 1,
    )


def chosen(name: str, value: str | None) -> str:
    """A choice of a size or the like, which the vendor makes where the caller does not."""
    value = value or _AUTO
    if not _CHOICE.fullmatch(value):
        raise Malformed(f"'{name}' is not valid.", name)
    return value
