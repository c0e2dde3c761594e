"""What a request body asks for, in each dialect; and what of it must change before a vendor sees it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from extproc.core.catalog import Operation
from extproc.core.quote import Ask
from extproc.dialects import media, routes, videos
from extproc.dialects.envelope import Envelope, Malformed
from extproc.dialects.multipart import Form
from extproc.errors import INVALID_REQUEST, Refusal

MAX_ANSWERS = 128
"""OpenAI's own limit on `n`; the other vendors' limits are lower."""

_BASE64_RUN = re.compile(rb"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{1024,}")
"""Looked for only where a run begins: tried at each byte of a shorter run, it takes a minute for 12 MB of them."""

_BASE64_MARKS = (b"base64", b"inlineData", b"inline_data", b"input_audio", b"file_data")


@dataclass(frozen=True, slots=True)
class Body:
    """A body that was read: what it asks for, the bytes to forward, and where in them the model's name stands.

    The offsets include the quotes of the JSON string, which a form has not; both are 0 where the model is in the path.
    """

    ask: Ask
    forward: bytes
    model_start: int = 0
    model_end: int = 0


def read_body(route: routes.Route, body: bytes, content_type: str = "") -> Body | Refusal:
    """Read a body; a refusal names the field that is wrong."""
    try:
        if route.operation.form or _is_form(route, content_type):
            return _read_form(route, Form(body, content_type), body)
        envelope = Envelope(body)
        ask = _READERS[route.operation](envelope, route, *_measure(body))
        if route.operation in (routes.CHAT, routes.COMPLETIONS) and ask.stream:
            _ask_for_usage(envelope)
    except Malformed as error:
        return INVALID_REQUEST.saying(str(error), error.field)
    forward, start, end = envelope.encode(locate="model")
    return Body(ask, forward) if route.model is not None else Body(ask, forward, start, end)


def _is_form(route: routes.Route, content_type: str) -> bool:
    """Whether the caller has chosen a form where JSON would do as well; vendors tell the two apart like this."""
    return route.operation in _FORM_READERS and content_type.lower().startswith("multipart/")


def _read_form(route: routes.Route, form: Form, body: bytes) -> Body:
    ask = _FORM_READERS[route.operation](form)
    start, end = form.locate("model")
    return Body(ask, body, start, end)


def _measure(body: bytes) -> tuple[int, int]:
    """The bytes of text, and the number of embedded attachments, which are long runs of base64."""
    if not any(mark in body for mark in _BASE64_MARKS):
        return len(body), 0
    runs = [len(run) for run in _BASE64_RUN.findall(body)]
    return len(body) - sum(runs), len(runs)


def _ask_for_usage(envelope: Envelope) -> None:
    """OpenAI streams tell their usage only when asked to (`stream_options.include_usage`)."""
    options = envelope.get("stream_options", dict[str, Any]) or {}
    if options.get("include_usage") is not True:
        envelope.set("stream_options", {**options, "include_usage": True})


def _chat(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    asked = _asked(envelope, text, attachments, "max_completion_tokens", "max_tokens")
    speaks = any(item != b'"text"' for item in envelope.items("modalities"))
    return replace(asked, answers=envelope.count("n", MAX_ANSWERS) or 1, media=speaks)


def _completions(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    """Each of several prompts has answers of its own; of `best_of` answers all are charged."""
    asked = _asked(envelope, text, attachments, "max_tokens")
    each = _larger(*(envelope.count(name, MAX_ANSWERS) for name in ("n", "best_of"))) or 1
    return replace(asked, answers=each * _prompts(envelope))


def _prompts(envelope: Envelope) -> int:
    """A text, its tokens, or a list of either; a list of numbers is one prompt."""
    items = envelope.items("prompt")
    return len(items) if items and items[0].startswith((b'"', b"[")) else 1


def _responses(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    if envelope.get("background", bool):
        raise Malformed("'background' is not supported: its usage is told only after the answer.", "background")
    return _asked(envelope, text, attachments, "max_output_tokens")


def _messages(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    return _asked(envelope, text, attachments, "max_tokens")


def _asked(envelope: Envelope, text: int, attachments: int, *caps: str) -> Ask:
    return Ask(
        model=envelope.require_string("model"),
        stream=envelope.get("stream", bool) or False,
        output_cap=_larger(*(envelope.count(cap) for cap in caps)),
        text_bytes=text,
        attachments=attachments,
    )


def _only_model(envelope: Envelope, _route: routes.Route, text: int, attachments: int) -> Ask:
    return Ask(model=envelope.require_string("model"), text_bytes=text, attachments=attachments)


def _generate(envelope: Envelope, route: routes.Route, text: int, attachments: int) -> Ask:
    """Google reads member names in camel case and in snake case (protobuf's JSON mapping)."""
    camel, snake = (envelope.get(name, dict[str, Any]) or {} for name in ("generationConfig", "generation_config"))
    answers = _larger(*(_count(config, "candidateCount", "candidate_count") for config in (camel, snake))) or 1
    return Ask(
        model=route.model or "",
        stream=bool(route.stream),
        output_cap=_larger(*(_count(config, "maxOutputTokens", "max_output_tokens") for config in (camel, snake))),
        answers=min(answers, MAX_ANSWERS),
        text_bytes=text,
        attachments=attachments,
        media=_may_draw(camel, snake),
    )


def _may_draw(*configs: dict[str, Any]) -> bool:
    """Whether the answer may be more than text: what a model answers with unless it is told is its own choice."""
    told = [config.get(name) for config in configs for name in ("responseModalities", "response_modalities")]
    asked = [modalities for modalities in told if modalities]
    return not asked or any(modalities != ["TEXT"] for modalities in asked)


def _count(config: dict[str, Any], *names: str) -> int | None:
    """The largest of the members that count something; an integer of at least 1 each."""
    values = [config[name] for name in names if config.get(name) is not None]
    for value in values:
        if type(value) is not int or value < 1:
            raise Malformed(f"'generationConfig.{names[0]}' must be a positive integer.", names[0])
    return _larger(*values)


def _larger(*caps: int | None) -> int | None:
    """Of several caps the largest: which of them a vendor heeds is its own affair."""
    return max((cap for cap in caps if cap is not None), default=None)


def _in_path(_envelope: Envelope, route: routes.Route, text: int, attachments: int) -> Ask:
    return Ask(model=route.model or "", text_bytes=text, attachments=attachments)


class _EmbedRequest(msgspec.Struct):
    model: str | None = None


def _embed(envelope: Envelope, route: routes.Route, text: int, attachments: int) -> Ask:
    """Requests may name their model again; another than the path's would be embedded at the wrong price."""
    named = [envelope.get("model", str)]
    named += [request.model for request in envelope.get("requests", list[_EmbedRequest]) or ()]
    if any(name is not None and name.removeprefix("models/") != route.model for name in named):
        raise Malformed("'model' must be the model of the path.", "model")
    return _in_path(envelope, route, text, attachments)


_READERS: dict[Operation, Callable[[Envelope, routes.Route, int, int], Ask]] = {
    routes.CHAT: _chat,
    routes.RESPONSES: _responses,
    routes.COMPLETIONS: _completions,
    routes.EMBEDDINGS: _only_model,
    routes.MODERATIONS: _only_model,
    routes.RERANK: media.rerank,
    routes.IMAGES: media.images,
    routes.SPEECH: media.speech,
    routes.VIDEOS: videos.read_json,
    routes.MESSAGES: _messages,
    routes.COUNT_MESSAGE_TOKENS: _only_model,
    routes.GENERATE: _generate,
    routes.EMBED: _embed,
    routes.BATCH_EMBED: _embed,
    routes.COUNT_TOKENS: _in_path,
    routes.PREDICT: media.predict,
}

_FORM_READERS: dict[Operation, Callable[[Form], Ask]] = {
    routes.IMAGE_EDITS: media.image_edits,
    routes.TRANSCRIPTIONS: media.transcript,
    routes.TRANSLATIONS: media.transcript,
    routes.VIDEOS: videos.read_form,
}
