"""What is asked for beside tokens, and what its price depends on."""

import json
from typing import Any

import pytest

from extproc.core.quote import Ask
from extproc.dialects.bodies import Body, read_body
from extproc.dialects.routes import Route, find_route
from extproc.errors import INVALID_REQUEST, Refusal

RERANK, IMAGES, SPEECH = "/v1/rerank", "/v1/images/generations", "/v1/audio/speech"
PREDICT = "/v1beta/models/m:predict"
AUTO = {"size": "auto", "quality": "auto"}


def read(path: str, sent: dict[str, Any]) -> Body | Refusal:
    """The body of a POST to this path."""
    route = find_route("POST", path, {})
    assert isinstance(route, Route)
    return read_body(route, json.dumps(sent).encode())


@pytest.mark.parametrize(
    ("path", "sent", "units", "said"),
    [
        (RERANK, {"model": "m", "query": "q", "documents": ["a"]}, 1, {}),
        (RERANK, {"model": "m", "documents": [{"text": "a"}] * 100}, 1, {}),
        (RERANK, {"model": "m", "documents": ["a"] * 101}, 2, {}),
        (RERANK, {"model": "m", "documents": []}, 1, {}),
        (RERANK, {"model": "m"}, 1, {}),
        (IMAGES, {"model": "m", "prompt": "a"}, 1, AUTO),
        (IMAGES, {"model": "m", "n": None, "size": None, "stream": False}, 1, AUTO),
        (IMAGES, {"model": "m", "n": 3, "size": "1024x1024"}, 3, {"size": "1024x1024", "quality": "auto"}),
        (IMAGES, {"model": "m", "quality": "hd"}, 1, {"size": "auto", "quality": "hd"}),
        (SPEECH, {"model": "m", "input": "hello"}, 5, {}),
        (SPEECH, {"model": "m", "input": "h\u00e9\U0001f600"}, 3, {}),
    ],
)
def test_what_is_asked_for_beside_tokens(path: str, sent: dict[str, Any], units: int, said: dict[str, str]) -> None:
    """Searches of 100 documents, images of a size and a quality, characters as a reader counts them."""
    body = read(path, sent)
    assert isinstance(body, Body)
    assert (body.ask.model, body.ask.units, body.ask.said) == ("m", units, said)
    assert body.ask.most_units == 0


@pytest.mark.parametrize(
    ("sent", "most_units", "said"),
    [
        ({"instances": [{"prompt": "a"}]}, 4, AUTO),
        ({"instances": [{"prompt": "a"}], "parameters": {"sampleCount": 2, "aspectRatio": "1:1"}}, 2, AUTO),
        ({"instances": [{}, {}], "parameters": {"sampleCount": 3}}, 6, AUTO),
        ({"parameters": {"sampleImageSize": "2K"}}, 4, {"size": "2K", "quality": "auto"}),
        ({"parameters": None}, 4, AUTO),
    ],
)
def test_imagen_draws_no_more_than_it_was_asked_for(
    sent: dict[str, Any], most_units: int, said: dict[str, str]
) -> None:
    """So many are held; how many there are is counted in the answer, for it may filter every one."""
    body = read(PREDICT, sent)
    assert isinstance(body, Body)
    assert (body.ask.model, body.ask.units, body.ask.most_units, body.ask.said) == ("m", 0, most_units, said)


@pytest.mark.parametrize(
    ("path", "sent", "stream"),
    [
        (IMAGES, {"stream": True, "partial_images": 2}, True),
        (IMAGES, {"stream": False}, False),
        (IMAGES, {"stream": None}, False),
        (SPEECH, {"input": "a", "stream_format": "sse"}, True),
        (SPEECH, {"input": "a", "stream_format": "audio"}, False),
        (SPEECH, {"input": "a"}, False),
    ],
)
def test_a_stream(path: str, sent: dict[str, Any], stream: bool) -> None:
    """Images stream when they are told to; speech does when its sound comes in events."""
    body = read(path, {"model": "m", **sent})
    assert isinstance(body, Body)
    assert body.ask.stream is stream


def test_each_image_has_tokens_of_its_own() -> None:
    """Where images are paid for by tokens, so many are held for each."""
    body = read(IMAGES, {"model": "m", "n": 4})
    assert isinstance(body, Body)
    assert (body.ask.answers, body.ask.media) == (4, True)
    assert Ask("m").media is False


@pytest.mark.parametrize(
    ("path", "sent", "field"),
    [
        (RERANK, {"documents": ["a"]}, "model"),
        (RERANK, {"model": "m", "documents": "a"}, "documents"),
        *[(IMAGES, {"model": "m", "n": n}, "n") for n in (0, -1, 129, 1.5, "1", True)],
        *[(IMAGES, {"model": "m", "size": size}, "size") for size in (5, "a b", "x" * 33, "-1", "a\n")],
        (IMAGES, {"model": "m", "quality": ["hd"]}, "quality"),
        (IMAGES, {"model": "m", "stream": "true"}, "stream"),
        *[(PREDICT, {"parameters": {"sampleCount": n}}, "sampleCount") for n in (0, -1, 129)],
        *[(PREDICT, {"parameters": {"sampleCount": n}}, "parameters") for n in (1.5, "1", True)],
        (PREDICT, {"parameters": {"sampleImageSize": "a b"}}, "sampleImageSize"),
        (PREDICT, {"parameters": []}, "parameters"),
        (PREDICT, {"instances": "a"}, "instances"),
        (SPEECH, {"model": "m", "input": "a", "stream_format": 5}, "stream_format"),
        (IMAGES, {"prompt": "a"}, "model"),
        (SPEECH, {"model": "m"}, "input"),
        (SPEECH, {"model": "m", "input": ""}, "input"),
        (SPEECH, {"input": "hello"}, "model"),
    ],
)
def test_a_refusal_names_the_field(path: str, sent: dict[str, Any], field: str) -> None:
    """What cannot be priced is refused, with the field at fault."""
    refusal = read(path, sent)
    assert isinstance(refusal, Refusal)
    assert refusal == INVALID_REQUEST.saying(refusal.message, field)
    assert field in refusal.message
