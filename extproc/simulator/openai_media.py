"""OpenAI's completions, moderations, images and speech; and the ranking of documents, as Jina and Cohere have it."""

import base64
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from extproc.simulator.answer import Answer, Ask, Turn, equal_frames, event, streamed, whole
from extproc.simulator.openai_chat import headers, usage_of

PICTURE = b"\x89PNG simulated"
SOUND = b"ID3 simulated sound"
_SLOT = b"@word@"


class _Options(Struct):
    include_usage: bool | None = None


class _Prompt(Struct):
    model: str
    prompt: str | list[Any] = ""
    stream: bool | None = None
    stream_options: _Options | None = None
    n: int | None = None


class _Input(Struct):
    model: str
    input: str | list[Any]
    stream_format: str | None = None


class _Ranking(Struct):
    model: str
    query: str
    documents: list[Any]


def read_completion(body: bytes) -> Ask:
    """What `POST /completions` asks for. Raises msgspec.MsgspecError."""
    request = msgspec.json.decode(body, type=_Prompt)
    told = bool(request.stream_options and request.stream_options.include_usage)
    texts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    return Ask(
        model=request.model,
        user=tuple(text for text in texts if isinstance(text, str)),
        respond=partial(_stream, told) if request.stream else _completion,
        says_usage=told or not request.stream,
    )


def read_image(body: bytes) -> Ask:
    """What `POST /images/generations` asks for."""
    request = msgspec.json.decode(body, type=_Prompt)
    user = (request.prompt,) if isinstance(request.prompt, str) else ()
    respond = partial(picture_stream, "image_generation") if request.stream else partial(pictures, request.n or 1)
    return Ask(model=request.model, user=user, respond=respond, classes=("input", "output"))


def read_moderation(body: bytes) -> Ask:
    """What `POST /moderations` asks for; its answer has no usage."""
    request = msgspec.json.decode(body, type=_Input)
    user = (request.input,) if isinstance(request.input, str) else ()
    return Ask(model=request.model, user=user, respond=_moderation, classes=(), says_usage=False)


def read_speech(body: bytes) -> Ask:
    """What `POST /audio/speech` asks for; its answer is sound, or events with sound in them and its tokens."""
    request = msgspec.json.decode(body, type=_Input)
    user = (str(request.input),)
    if request.stream_format == "sse":
        return Ask(model=request.model, user=user, respond=_speech_stream, classes=("input", "output"))
    return Ask(model=request.model, user=user, respond=_speech, classes=(), says_usage=False)


def read_ranking(body: bytes) -> Ask:
    """What `POST /rerank` asks for; it is billed by searches if the script says how many, else by tokens."""
    request = msgspec.json.decode(body, type=_Ranking)
    return Ask(request.model, partial(_ranking, request), user=(request.query,), classes=("input",))


def _completion(turn: Turn) -> Answer:
    payload = _envelope(turn) | {"choices": [_choice(turn.text, "stop")]}
    if not turn.script.no_usage:
        payload["usage"] = usage_of(turn)
    return whole(turn.script, payload, headers=headers(turn))


def _stream(told: bool, turn: Turn) -> Answer:
    told = told and not turn.script.no_usage
    envelope = _envelope(turn)
    usage = event(envelope | {"choices": [], "usage": usage_of(turn)}) if told else b""
    frame = event(envelope | {"choices": [_choice(_SLOT.decode(), None)]})
    closing = event(envelope | {"choices": [_choice("", "stop")]}) + usage + b"data: [DONE]\n\n"
    frames = equal_frames(turn, frame, _SLOT)
    return streamed(turn, opening=b"", frames=frames, closing=closing, headers=headers(turn))


def _envelope(turn: Turn) -> dict[str, Any]:
    return {
        "id": f"cmpl-sim{turn.seq}",
        "object": "text_completion",
        "created": turn.created,
        "model": turn.model,
    }


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


def pictures(count: int, turn: Turn) -> Answer:
    """So many images, with the tokens of a model that counts them."""
    payload: dict[str, Any] = {
        "created": turn.created,
        "data": [{"b64_json": base64.b64encode(PICTURE).decode()} for _ in range(count)],
    }
    return whole(turn.script, payload | _picture_usage(turn), headers=headers(turn))


def picture_stream(kind: str, turn: Turn) -> Answer:
    """One image, and as many sketches of it as there are chunks."""
    picture = {"b64_json": base64.b64encode(PICTURE).decode(), "created_at": turn.created, "size": "1024x1024"}
    picture |= {"quality": "high", "background": "opaque", "output_format": "png"}
    partial_image, completed = f"{kind}.partial_image", f"{kind}.completed"

    def frames(start: int, stop: int) -> bytes:
        sketches = ({"type": partial_image, "partial_image_index": index} for index in range(start, stop))
        return b"".join(event(sketch | picture, partial_image) for sketch in sketches)

    closing = event({"type": completed} | picture | _picture_usage(turn), completed)
    return streamed(turn, opening=b"", frames=frames, closing=closing, headers=headers(turn))


def _picture_usage(turn: Turn) -> dict[str, Any]:
    if turn.script.no_usage:
        return {}
    usage, said = turn.usage, turn.script.usage
    seen, drawn = said.image or 0, said.output_image
    counted = {"input_tokens_details": {"text_tokens": usage.input - seen, "image_tokens": seen}}
    if drawn:
        counted["output_tokens_details"] = {"text_tokens": usage.output - drawn, "image_tokens": drawn}
    return {"usage": sums(turn) | counted}


def sums(turn: Turn) -> dict[str, Any]:
    """The tokens in the words of OpenAI's newer APIs."""
    usage = turn.usage
    total = usage.input + usage.output
    return {"input_tokens": usage.input, "output_tokens": usage.output, "total_tokens": total}


def _moderation(turn: Turn) -> Answer:
    result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
    payload = {"id": f"modr-sim{turn.seq}", "model": turn.model, "results": [result]}
    return whole(turn.script, payload, headers=headers(turn))


def _speech(turn: Turn) -> Answer:
    answer = whole(turn.script, {}, headers=headers(turn))
    return msgspec.structs.replace(
        answer,
        headers=(("content-type", "audio/mpeg"), *headers(turn)),
        frames=lambda _start, _stop: SOUND,
        length=len(SOUND),
    )


def _speech_stream(turn: Turn) -> Answer:
    delta, done = "speech.audio.delta", "speech.audio.done"
    sound = event({"type": delta, "audio": base64.b64encode(SOUND).decode()}, delta)
    usage = {} if turn.script.no_usage else {"usage": sums(turn)}
    return streamed(
        turn,
        opening=b"",
        frames=lambda start, stop: sound * (stop - start),
        closing=event({"type": done} | usage, done),
        headers=headers(turn),
    )


def _ranking(request: _Ranking, turn: Turn) -> Answer:
    results = [{"index": index, "relevance_score": 1 / (index + 1)} for index in range(len(request.documents))]
    payload: dict[str, Any] = {"model": turn.model, "results": results}
    searches = turn.script.usage.searches
    if searches is not None:
        payload["meta"] = {"billed_units": {"search_units": searches}}
    elif not turn.script.no_usage:
        payload["usage"] = {"total_tokens": turn.usage.input}
    return whole(turn.script, payload, headers=headers(turn))
