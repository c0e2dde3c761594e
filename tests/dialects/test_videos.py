"""Videos: which paths there are, what a request asks for, and what an answer tells."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.catalog import Operation
from extproc.core.ending import Progress
from extproc.core.quote import Ask
from extproc.dialects import routes
from extproc.dialects.bodies import Body, read_body
from extproc.dialects.routes import Route, find_route
from extproc.dialects.videos import MAX_ANSWER_BYTES, Told, read_answer
from extproc.errors import INVALID_REQUEST, Refusal
from tests.core.samples import steady

FORM = 'multipart/form-data; boundary="b"'


def read(sent: dict[str, Any], content_type: str = "application/json") -> Body | Refusal:
    """The body of a request for a video, as JSON or as a form."""
    route = find_route("POST", "/v1/videos", {})
    assert isinstance(route, Route)
    if content_type == "application/json":
        return read_body(route, json.dumps(sent).encode(), content_type)
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in sent.items()
    )
    return read_body(route, (parts + "--b--\r\n").encode(), content_type)


def said(size: str, resolution: str | None = None) -> dict[str, str]:
    """What the price depends on."""
    return {"size": size, "resolution": resolution or size}


@pytest.mark.parametrize(
    ("sent", "units", "what"),
    [
        ({}, 4_000, said("auto")),
        ({"seconds": "8"}, 8_000, said("auto")),
        ({"seconds": "1", "size": "1280x720"}, 1_000, said("1280x720", "720p")),
        ({"seconds": "3600", "size": "1024x1792"}, 3_600_000, said("1024x1792", "1024p")),
        ({"seconds": "12", "size": "1080p", "prompt": "a cat"}, 12_000, said("1080p")),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", FORM])
def test_what_is_asked_for(sent: dict[str, Any], units: int, what: dict[str, str], content_type: str) -> None:
    """So many milliseconds of a size, alike in JSON and in a form; the prompt is no part of the price."""
    body = read({"model": "m", **sent}, content_type)
    assert isinstance(body, Body)
    assert body.ask == Ask("m", units=units, said=what)
    assert body.forward[body.model_start : body.model_end].strip(b'"') == b"m"


def test_the_seconds_may_be_a_number() -> None:
    """In JSON; null is nothing said."""
    for seconds, units in ((8, 8_000), (None, 4_000)):
        body = read({"model": "m", "seconds": seconds, "size": None})
        assert isinstance(body, Body)
        assert body.ask.units == units


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "model"),
        ({"model": "m", "seconds": "0"}, "seconds"),
        ({"model": "m", "seconds": "3601"}, "seconds"),
        ({"model": "m", "seconds": "9" * 5_000}, "seconds"),
        ({"model": "m", "seconds": "-4"}, "seconds"),
        ({"model": "m", "seconds": "4.5"}, "seconds"),
        ({"model": "m", "seconds": "٤"}, "seconds"),
        ({"model": "m", "size": "a b"}, "size"),
        ({"model": "m", "size": "x" * 40}, "size"),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", FORM])
def test_a_refusal_names_the_field(sent: dict[str, Any], field: str, content_type: str) -> None:
    """What cannot be counted, or would be kept and is too long, is refused."""
    refusal = read(sent, content_type)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.param) == (INVALID_REQUEST.code, field)


@pytest.mark.parametrize("seconds", [0, 3_601, 4.5, True, [4], {"a": 1}])
def test_what_is_no_number_of_seconds(seconds: Any) -> None:
    """Neither in JSON."""
    refusal = read({"model": "m", "seconds": seconds})
    assert isinstance(refusal, Refusal)
    assert refusal.param == "seconds"


def test_how_a_body_is_read_is_told_by_its_type() -> None:
    """As a vendor would read it: a form that says it is JSON is neither."""
    form, as_json = read({"model": "m"}, FORM), read({"model": "m"})
    assert isinstance(form, Body)
    assert isinstance(as_json, Body)
    route = find_route("POST", "/v1/videos", {})
    assert isinstance(route, Route)
    assert isinstance(read_body(route, form.forward, "application/json"), Refusal)
    assert isinstance(read_body(route, as_json.forward, "Multipart/Form-Data; boundary=b"), Refusal)


@pytest.mark.parametrize(
    ("method", "path", "operation", "vendor_path"),
    [
        ("POST", "/v1/videos", routes.VIDEOS, "/v1/videos"),
        ("GET", "/v1/videos/video_1", routes.VIDEO, "/v1/videos/video_1"),
        ("GET", "/v1/videos/a%3Ab%3D", routes.VIDEO, "/v1/videos/a%3Ab%3D"),
        ("GET", "/v1/videos/a:b=?x=y", routes.VIDEO, "/v1/videos/a%3Ab%3D?x=y"),
        ("GET", "/v1/videos/content", routes.VIDEO, "/v1/videos/content"),
        ("GET", "/v1/videos/v/content?variant=t", routes.VIDEO_CONTENT, "/v1/videos/v/content?variant=t"),
        ("DELETE", "/v1/videos/video_1", routes.VIDEO_DELETE, "/v1/videos/video_1"),
    ],
)
def test_paths(method: str, path: str, operation: Operation, vendor_path: str) -> None:
    """What a method asks of a video, and where it goes below the channel's base URL."""
    route = find_route(method, path, {})
    assert isinstance(route, Route)
    assert route.operation is operation
    assert route.path_at("/v1", "m") == vendor_path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/videos"),
        ("GET", "/v1/videos/"),
        ("POST", "/v1/videos/"),
        ("POST", "/v1/videos/v"),
        ("POST", "/v1/videos/v/remix"),
        ("PUT", "/v1/videos/v"),
        ("HEAD", "/v1/videos/v/content"),
        ("DELETE", "/v1/videos/v/content"),
        ("GET", "/v1/videos/v/content/"),
        ("GET", "/v1/videos/v%2Fcontent"),
        ("GET", "/v1/videos/.."),
        ("GET", "/v1/videos/%2e%2e"),
        ("GET", "/v1/videos/a%0d%0ab"),
        ("GET", "/v1/videos/" + "a" * 201),
        ("GET", "/v1/video"),
    ],
)
def test_paths_that_are_not_there(method: str, path: str) -> None:
    """No list, no remix, and no id that could be more than one segment of a path."""
    assert find_route(method, path, {}) is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"id": "v_1", "status": "queued"}, Told("v_1", Progress.UNDER_WAY)),
        ({"id": "v_1", "status": "in_progress", "seconds": "8"}, Told("v_1", Progress.UNDER_WAY, 8_000)),
        ({"id": "v_1", "status": "completed", "seconds": 6.5, "x": [1]}, Told("v_1", Progress.DONE, 6_500)),
        ({"id": "v_1", "status": "failed", "error": {"code": "x"}}, Told("v_1", Progress.FAILED)),
        ({"id": "v_1", "status": "cancelled"}, Told("v_1", Progress.FAILED)),
        ({"id": "v_1", "status": "expired"}, Told("v_1", Progress.FAILED)),
        ({"id": "v_1", "status": "something new"}, Told("v_1", Progress.UNDER_WAY)),
        ({"id": "v_1"}, Told("v_1", Progress.UNDER_WAY)),
        ({"status": "completed"}, Told(None, Progress.DONE)),
        ({"id": "", "status": None}, Told(None, Progress.UNDER_WAY)),
        ({"id": "../models"}, Told(None, Progress.UNDER_WAY)),
        ({"id": "v", "seconds": "1e9"}, Told("v", Progress.UNDER_WAY)),
        ({"id": "v", "seconds": -4}, Told("v", Progress.UNDER_WAY)),
        ({"id": "v", "seconds": "nan"}, Told("v", Progress.UNDER_WAY)),
        ({"id": "v", "seconds": ["8"]}, Told("v", Progress.UNDER_WAY)),
        ({"id": 5}, None),
        ([], None),
    ],
)
def test_what_an_answer_tells(answer: Any, told: Told | None) -> None:
    """Only a known word is the end of a task, and a length that nobody would ask for is none."""
    assert read_answer(json.dumps(answer).encode()) == told


@steady
@given(st.binary())
def test_what_is_no_answer(body: bytes) -> None:
    """Whatever a vendor sends, nothing is raised."""
    read_answer(body)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'{"id": "\xff"}', b'{"a":' * 10_000])
def test_what_cannot_be_read(body: bytes) -> None:
    """No JSON, or only a part of it."""
    assert read_answer(body) is None


def test_a_large_answer_is_not_read() -> None:
    """What tells of a video is small."""
    body = b'{"id": "v"' + b" " * MAX_ANSWER_BYTES + b"}"
    assert read_answer(body) is None
