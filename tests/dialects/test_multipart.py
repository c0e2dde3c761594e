"""A form is read as every parser reads it, or not at all; files are not looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.quote import Ask
from extproc.dialects.bodies import Body, read_body
from extproc.dialects.envelope import Malformed
from extproc.dialects.multipart import Form
from extproc.dialects.routes import Route, find_route
from extproc.errors import Refusal
from tests.core.samples import steady

TYPE = "multipart/form-data; boundary=xYz"


def part(name: str, value: bytes, more: str = "", before: str = "") -> bytes:
    """A part as browsers and SDKs write it; `more` stands after the name, `before` is a header of its own."""
    return f'--xYz\r\n{before}Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def file(value: bytes, name: str = "file") -> bytes:
    """A part that is a file."""
    return part(name, value, '; filename="a.mp3"', "Content-Type: audio/mpeg\r\n")


def form(*parts: bytes) -> bytes:
    """A body of these parts."""
    return b"".join(parts) + b"--xYz--\r\n"


MODEL = part("model", b"whisper")


def asked(body: bytes, path: str = "/v1/audio/transcriptions", content_type: str = TYPE) -> Body | Refusal:
    """What a POST of this body asks for."""
    route = find_route("POST", path, {})
    assert isinstance(route, Route)
    return read_body(route, body, content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        TYPE,
        'multipart/form-data; boundary="xYz"',
        "Multipart/Form-Data;boundary=xYz",
        "multipart/form-data ; boundary=xYz ",
    ],
)
def test_a_form_says_what_it_asks_for(content_type: str) -> None:
    """The model, and where it stands; the body is forwarded as it came."""
    body = form(file(b"sound"), MODEL, part("language", b"en"))
    read = asked(body, content_type=content_type)
    assert isinstance(read, Body)
    assert (read.ask.model, read.forward) == ("whisper", body)
    assert body[read.model_start : read.model_end] == b"whisper"


@pytest.mark.parametrize(
    ("size", "units", "most_units", "attachments"),
    [(0, 0, 1, 0), (1, 0, 1, 1), (192_000, 1_000, 96_000, 1), (25_000_000, 130_208, 12_500_000, 107)],
)
def test_how_long_a_recording_may_be(size: int, units: int, most_units: int, attachments: int) -> None:
    """In milliseconds by its size: at least as sound that is not compressed, at most as speech at 16 kbit/s."""
    read = asked(form(MODEL, file(b"x" * size)))
    assert isinstance(read, Body)
    assert (read.ask.units, read.ask.most_units, read.ask.attachments) == (units, most_units, attachments)


def test_what_is_made_of_images() -> None:
    """An edit asks for as many images as a generation, and brings some of its own."""
    images = [file(b"a", "image[]"), file(b"b", "image[]"), file(b"c", "mask")]
    read = asked(
        form(part("n", b"3"), part("size", b"auto"), MODEL, *images, part("prompt", b"hat")), "/v1/images/edits"
    )
    assert isinstance(read, Body)
    said = {"size": "auto", "quality": "auto"}
    assert read.ask == Ask("whisper", answers=3, text_bytes=3, attachments=3, units=3, said=said, media=True)


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"model":"whisper"}', id="JSON"),
        pytest.param(b"--xYz--", id="no part at all, and no model"),
        pytest.param(MODEL, id="no end"),
        pytest.param(form(MODEL)[:-4], id="half an end"),
        pytest.param(b"preamble\r\n" + form(MODEL), id="something before"),
        pytest.param(BOM + form(MODEL), id="a mark before"),
        pytest.param(form(MODEL) + MODEL, id="something after"),
        pytest.param(form(MODEL).replace(b"\r\n", b"\n"), id="bare line feeds"),
        pytest.param(form(MODEL, part("model", b"other")), id="two models"),
        pytest.param(form(file(b"whisper", "model")), id="a file for a model"),
        pytest.param(form(part("model", b"")), id="an empty model"),
        pytest.param(form(part("model", b"\xff")), id="no UTF-8"),
        pytest.param(form(part("Model", b"whisper")), id="another name"),
        pytest.param(form(part("mod%65l", b"other"), MODEL), id="an escaped name"),
        pytest.param(form(part("model", b"whisper", "; name=other")), id="two names"),
        pytest.param(
            form(part("model", b"d2hpc3Blcg==", before="Content-Transfer-Encoding: base64\r\n")), id="encoded"
        ),
        pytest.param(form(part("model", b"whisper", "\r\n x: y")), id="a folded line"),
        pytest.param(
            form(part("model", b"x", before='Content-Disposition: form-data; name="y"\r\n')), id="two headers"
        ),
        pytest.param(form(MODEL.replace(b"form-data", b"attachment")), id="no form-data"),
        pytest.param(form(MODEL.replace(b'"model"', b"model")), id="a bare name"),
        pytest.param(form(MODEL.replace(b"\r\n\r\n", b"\r\n")), id="no empty line"),
        pytest.param(form(MODEL, part("stream", b"yes")), id="no yes or no"),
        pytest.param(form(MODEL, *[part("x", b"")] * 200), id="too many parts"),
    ],
)
def test_what_parsers_may_read_differently_is_refused(body: bytes) -> None:
    """The vendor would read another model than was priced, or none."""
    refusal = asked(body)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=xYz",
        TYPE + "; boundary=b",
        TYPE + " x",
    ],
)
def test_a_body_says_that_it_is_a_form(content_type: str) -> None:
    """With one boundary, or it is refused."""
    assert isinstance(asked(form(MODEL), content_type=content_type), Refusal)


values = st.binary(max_size=200).filter(lambda value: b"\r\n--xYz" not in b"\r\n" + value)


@steady
@given(st.lists(st.tuples(st.sampled_from("abc"), values, st.booleans()), max_size=6), st.integers(0, 6))
def test_every_value_is_found_as_it_was_sent(parts: list[tuple[str, bytes, bool]], place: int) -> None:
    """Whatever is in the other parts, the model is what was sent, and files are as large as they are."""
    encoded = [file(value, name) if is_file else part(name, value) for name, value, is_file in parts]
    found = Form(form(*encoded[:place], part("model", b"w"), *encoded[place:]), TYPE)
    assert found.require_string("model") == "w"
    assert sorted(found.file_bytes) == sorted(len(value) for _, value, is_file in parts if is_file)


@steady
@given(st.binary() | st.binary().map(lambda noise: form(MODEL, noise)), st.text() | st.just(TYPE))
def test_any_bytes_are_an_ask_or_a_refusal(body: bytes, content_type: str) -> None:
    """Whatever a caller sends, reading it is no fault."""
    assert isinstance(asked(body, content_type=content_type), Body | Refusal)


@pytest.mark.parametrize("value", [b"0", b"-1", b"129", b"1.5", b" 1", b"1_0", b"9" * 20, "\u0661".encode(), b"x"])
def test_a_number_is_written_in_one_way(value: bytes) -> None:
    """What some parser might take for another number is none."""
    with pytest.raises(Malformed):
        Form(form(part("n", value)), TYPE).count("n", 128)


@pytest.mark.parametrize(("value", "count"), [(b"", None), (b"1", 1), (b"128", 128), (b"007", 7)])
def test_a_number(value: bytes, count: int | None) -> None:
    """An empty field is none."""
    assert Form(form(part("n", value)), TYPE).count("n", 128) == count
