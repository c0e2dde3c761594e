"""Bodies that nobody should send: near-misses of good ones, and large ones made to be slow. Each is read or refused."""

import json
import random
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.catalog import Dialect
from extproc.core.pricing import UnitKind
from extproc.dialects.bodies import Body, read_body
from extproc.dialects.routes import Route, find_route
from extproc.dialects.usage import read_inclusive, read_words
from extproc.errors import Refusal
from tests.core.samples import steady
from tests.dialects.test_usage import NAMES

FORM: Final = "multipart/form-data; boundary=xYz"
_SAID: Final = [{"role": "user", "content": "Hello"}]
_PART: Final = b'--xYz\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
_FILE: Final = b'--xYz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: a/b\r\n\r\n%s\r\n'
_UPLOAD: Final = _PART % (b"model", b"m") + _PART % (b"n", b"2") + _FILE % b"RIFF" + b"--xYz--\r\n"

GOOD: Final[dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": _SAID, "max_tokens": 9, "n": 2, "stream": True},
    "/v1/responses": {"model": "m", "input": "Hello", "max_output_tokens": 9},
    "/v1/completions": {"model": "m", "prompt": ["a", "b"], "best_of": 2},
    "/v1/messages": {"model": "m", "messages": _SAID, "max_tokens": 9},
    "/v1/embeddings": {"model": "m", "input": [[1, 2], [3]]},
    "/v1/rerank": {"model": "m", "query": "a", "documents": ["a", {"text": "b"}]},
    "/v1/images/generations": {"model": "m", "prompt": "a", "size": "1024x1024", "n": 2},
    "/v1/audio/speech": {"model": "m", "input": "Hello", "voice": "a"},
    "/v1beta/models/m:generateContent": {
        "contents": [{"parts": [{"text": "a"}]}],
        "generationConfig": {"maxOutputTokens": 9},
    },
    "/v1beta/models/m:batchEmbedContents": {"requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}}]},
    "/v1/images/edits": _UPLOAD,
    "/v1/audio/transcriptions": _UPLOAD,
}
"""A body that each operation reads; forms as bytes."""

NASTY: Final = [
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b"NaN", b"Infinity", b"1e999", b"-0"),
    *(
        b"9" * 400,
        b"1E-400",
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\\",
        b",",
        b":",
        b"null",
        b"true",
        b'"model":[]',
        b"[" * 3000,
    ),
    *(
        b"--xYz",
        b"\r\n",
        b"\r\n\r\n",
        b"\r\n--xYz--",
        b'name="model"',
        b"; filename*=x",
        b"base64",
        b"A" * 2000,
        b"%0d%0a",
    ),
]


def encoded(body: Any) -> bytes:
    """The body as it is sent."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def route_of(path: str) -> Route:
    """Its route."""
    route = find_route("POST", path, {})
    assert isinstance(route, Route)
    return route


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good body in which pieces are put, cut out, doubled or turned around."""
    path = draw(st.sampled_from(sorted(GOOD)))
    body = encoded(GOOD[path])
    for _ in range(draw(st.integers(1, 6))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(body))] * 2)))
        piece = draw(st.sampled_from(NASTY) | st.binary(max_size=6) | st.just(body[start:end] * 2))
        body = body[:start] + piece + body[draw(st.sampled_from([start, end])) :]
    return path, body


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)


@steady
@given(spoiled())
def test_a_spoiled_body_is_an_ask_or_a_refusal(sent: tuple[str, bytes]) -> None:
    """Whatever has happened to a good body; and what is read is text that a vendor can be sent."""
    path, body = sent
    content_type = FORM if isinstance(GOOD[path], bytes) else "application/json"
    found = read_body(route_of(path), body, content_type)
    assert isinstance(found, Body | Refusal)
    if isinstance(found, Body):
        found.ask.model.encode()
        assert 0 <= found.model_start <= found.model_end <= len(found.forward)


@steady
@given(st.data())
def test_any_value_in_any_place_is_an_ask_or_a_refusal(data: st.DataObject) -> None:
    """Each member of a good body, replaced by any JSON that there is, and some that there is not (NaN)."""
    path = data.draw(st.sampled_from([path for path, body in GOOD.items() if isinstance(body, dict)]))
    name = data.draw(st.sampled_from([*GOOD[path], "stream_options", "input", "model", "duration"]))
    body = encoded({**GOOD[path], name: data.draw(values)})
    found = read_body(route_of(path), body)
    assert isinstance(found, Body | Refusal)
    if isinstance(found, Body):
        assert found.ask.text_bytes >= 0
        assert found.ask.answers >= 1


MEBIBYTE: Final = 2**20
SLOW: Final[dict[str, Callable[[], tuple[str, bytes]]]] = {
    "brackets": lambda: ("/v1/chat/completions", b'{"model":"m","messages":' + b"[" * 16 * MEBIBYTE),
    "objects": lambda: ("/v1/messages", b'{"a":' * 3 * MEBIBYTE),
    "a name a million times": lambda: ("/v1/responses", b"{" + b'"model":"m",' * MEBIBYTE + b'"input":""}'),
    "a million names": lambda: (
        "/v1/chat/completions",
        b"{" + b"".join(b'"%d":0,' % n for n in range(MEBIBYTE)) + b'"model":"m"}',
    ),
    "a million prompts": lambda: ("/v1/completions", b'{"model":"m","prompt":[' + b'"",' * 4 * MEBIBYTE + b'""]}'),
    "a million requests": lambda: (
        "/v1beta/models/m:batchEmbedContents",
        b'{"requests":[' + b"{}," * 4 * MEBIBYTE + b"{}]}",
    ),
    "escapes": lambda: ("/v1/chat/completions", b'{"model":"' + b"\\u0041" * 2 * MEBIBYTE + b'"}'),
    "a long number": lambda: ("/v1/chat/completions", b'{"model":"m","max_tokens":' + b"9" * 8 * MEBIBYTE + b"}"),
    "almost base64": lambda: (
        "/v1/chat/completions",
        b'{"model":"m","a":"base64' + (b"A" * 1023 + b".") * 12 * 1024 + b'"}',
    ),
    "base64": lambda: ("/v1/chat/completions", b'{"model":"m","a":"base64' + (b"A" * 1024 + b".") * 12 * 1024 + b'"}'),
    "half boundaries": lambda: ("/v1/images/edits", _PART % (b"model", b"\r\n--xY" * 2 * MEBIBYTE) + b"--xYz--"),
    "boundaries": lambda: ("/v1/images/edits", b"--xYz\r\n" * 2 * MEBIBYTE),
    "parts": lambda: ("/v1/images/edits", _PART % (b"a", b"") * 200_000 + b"--xYz--"),
    "a head without an end": lambda: (
        "/v1/images/edits",
        b'--xYz\r\nContent-Disposition: form-data; name="' + b"a" * 12 * MEBIBYTE,
    ),
    "noise": lambda: ("/v1/audio/transcriptions", _FILE % random.Random(1).randbytes(16 * MEBIBYTE) + b"--xYz--"),
}
"""Twelve megabytes and more each, made for what takes time by the square of the size: that would take hours."""


@pytest.mark.parametrize("name", SLOW)
def test_a_large_body_ends_as_soon_as_it_is_read(name: str) -> None:
    """No size and no nesting makes reading go on for ever, or fall over."""
    path, body = SLOW[name]()
    assert isinstance(read_body(route_of(path), body, FORM), Body | Refusal)


@steady
@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers() | st.floats()),
    st.sampled_from(Dialect),
    st.sampled_from([None, *UnitKind]),
)
def test_no_number_of_a_vendor_is_too_odd(numbers: dict[str, float], dialect: Dialect, unit: UnitKind | None) -> None:
    """Infinite, not a number, of a thousand digits: usage comes out, and none of it is negative."""
    for told in (read_inclusive(numbers, unit), read_words(numbers, dialect, unit)):
        assert min(told.usage.plain_input_tokens, told.usage.plain_output_tokens, told.usage.units) >= 0
