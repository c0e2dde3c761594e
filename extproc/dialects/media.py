"""What a request for images, speech, transcripts or a ranking asks for: units, and what their price depends on."""

import re

import msgspec

from extproc.core.quote import TOKENS_PER_ATTACHMENT, Ask
from extproc.dialects import routes
from extproc.dialects.envelope import Envelope, Malformed
from extproc.dialects.multipart import Form

MAX_IMAGES = 128
"""OpenAI allows 10; what others allow is theirs to refuse, and the hold is for as many as were asked for."""

DOCUMENTS_PER_SEARCH = 100
"""What Cohere counts as one search: a query with up to 100 documents (its pricing page)."""

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


def _images(fields: Envelope | Form, text: int, attachments: int) -> Ask:
    _no_stream(fields)
    count = fields.count("n", MAX_IMAGES) or 1
    return Ask(
        model=fields.require_string("model"),
        answers=count,
        text_bytes=text,
        attachments=attachments,
        units=count,
        said={name: _choice(fields, name) for name in ("size", "quality")},
        media=True,
    )


def speech(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    """So many characters, spoken."""
    characters = len(envelope.require_string("input"))
    model = envelope.require_string("model")
    return Ask(model, text_bytes=text, attachments=attachments, units=characters, media=True)


def transcript(form: Form) -> Ask:
    """The words of a recording, as long as its file may be. A price by tokens is held for as much sound."""
    _no_stream(form)
    size = sum(form.file_bytes)
    return Ask(
        model=form.require_string("model"),
        text_bytes=len((form.get("prompt", str) or "").encode()),
        attachments=-(-size // _BYTES_PER_ATTACHMENT),
        units=size * 1_000 // MOST_BYTES_PER_SECOND,
        most_units=-(-size * 1_000 // LEAST_BYTES_PER_SECOND) or 1,
    )


def _no_stream(fields: Envelope | Form) -> None:
    if fields.get("stream", bool):
        raise Malformed("'stream' is not supported here.", "stream")


def _choice(fields: Envelope | Form, name: str) -> str:
    value = fields.get(name, str) or _AUTO
    if not _CHOICE.fullmatch(value):
        raise Malformed(f"'{name}' is not valid.", name)
    return value
