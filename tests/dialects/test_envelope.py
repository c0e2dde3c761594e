"""An envelope means to every parser what it meant to ours: what was priced is what the vendor reads."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.dialects.envelope import Envelope, Malformed
from tests.core.samples import steady

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(scalars | text, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=8)
members = st.lists(st.tuples(st.just("model") | text, values), max_size=6)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A JSON object as some client may write it: members repeated, blanks anywhere, names escaped."""
    blank = st.sampled_from(["", " ", "\n\t", "\r\n "])
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))
    parts = []
    for name, value in draw(members):
        written = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        parts.append(f"{draw(blank)}{_name(draw, name)}{draw(blank)}:{draw(blank)}{written}{draw(blank)}")
    return f"{draw(blank)}{{{draw(blank)}{','.join(parts)}}}{draw(blank)}".encode()


def _name(draw: st.DrawFn, name: str) -> str:
    if draw(st.booleans()):
        return json.dumps(name)
    units = name.encode("utf-16-be")
    pairs = zip(units[::2], units[1::2], strict=True)
    return '"' + "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs) + '"'


def only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose members must not repeat."""
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@steady
@given(bodies())
@example(b'{"model":"cheap","model":"dear"}')
@example(b'{"mod\\u0065l":"dear","model":"cheap"}')
def test_what_is_encoded_is_what_was_sent(body: bytes) -> None:
    """Every member keeps its value, and of a repeated one the last counts."""
    encoded, _, _ = Envelope(body).encode("model")
    assert json.loads(encoded) == json.loads(body)


@steady
@given(st.lists(st.tuples(st.sampled_from(["model", "stream"]), text), max_size=6))
def test_an_encoded_envelope_has_one_meaning(pairs: list[tuple[str, str]]) -> None:
    """No member is there twice, so that it does not matter which of two a parser prefers."""
    parts = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs]
    encoded, _, _ = Envelope(f"{{{','.join(parts)}}}".encode()).encode("model")
    assert json.loads(encoded, object_pairs_hook=only_once) == dict(pairs)


@steady
@given(st.dictionaries(st.just("model") | text, values, max_size=6))
@example({"model": "gpt", "a/b\x7f\u2028é": "😀"})
def test_a_compact_body_is_not_touched(sent: dict[str, Any]) -> None:
    """What the SDKs send comes out byte for byte the same."""
    body = json.dumps(sent, separators=(",", ":"), ensure_ascii=False).encode()
    assert Envelope(body).encode("model")[0] == body


@steady
@given(bodies(), text)
def test_the_model_can_be_spliced(body: bytes, vendor_model: str) -> None:
    """The offsets enclose exactly the model's value, and another in its place changes nothing else."""
    encoded, start, end = Envelope(body).encode("model")
    sent = json.loads(body)
    if "model" not in sent:
        assert (start, end) == (0, 0)
        return
    assert json.loads(encoded[start:end]) == sent["model"]
    spliced = encoded[:start] + json.dumps(vendor_model).encode() + encoded[end:]
    assert json.loads(spliced) == sent | {"model": vendor_model}


@pytest.mark.parametrize(
    ("body", "encoded", "model"),
    [
        pytest.param(b'{"model":"gpt"}', b'{"model":"gpt"}', b'"gpt"', id="as it is"),
        pytest.param(b' { "model" : "gpt" } ', b'{"model":"gpt"}', b'"gpt"', id="blanks"),
        pytest.param(b'{"mod\\u0065l":"g\\u0070t"}', b'{"model":"g\\u0070t"}', b'"g\\u0070t"', id="escapes"),
        pytest.param(b'{"model":"a","x":1,"model":"b"}', b'{"model":"b","x":1}', b'"b"', id="twice"),
        pytest.param(b'{"x":{"model":"a"},"model":"b"}', b'{"x":{"model":"a"},"model":"b"}', b'"b"', id="deeper"),
        pytest.param(b'{"x":"\\"model\\":\\"a\\"","model":"b"}', None, b'"b"', id="in a string"),
        pytest.param('{"é":"😀","model":"ü"}'.encode(), None, '"ü"'.encode(), id="offsets are in bytes"),
        pytest.param(b'{"Model":"a"}', b'{"Model":"a"}', b"", id="names are case-sensitive"),
        pytest.param(b"{}", b"{}", b"", id="empty"),
    ],
)
def test_where_the_model_stands(body: bytes, encoded: bytes | None, model: bytes) -> None:
    """The encoded body (None: as it was sent), and what is between the offsets of `model`."""
    out, start, end = Envelope(body).encode("model")
    assert out == (body if encoded is None else encoded)
    assert out[start:end] == model


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"model"',
        b"7",
        b"{",
        b'{"model"}',
        b'{"model":}',
        b'{"model":"m",}',
        b'{"model":"m"}}',
        b'{"model":"m"}{"model":"m"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":01}',
        b'{"a":1.}',
        b'{"a":tru}',
        b"{'model':'m'}",
        b"{model:1}",
        b'{"model":"m"/**/}',
        b'{"a":"\n"}',
        b'{"a":"\\x"}',
        b'{"a":"\\u12"}',
        b'{"a":"\\ud800"}',
        b'{"\\ud800":1}',
        b'{"\xff":1}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"model":"m"}',
        '{"model":"m"}'.encode("utf-16"),
        b"model=m&stream=true",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """Not JSON, or no object, or nested too deep to be read: one refusal, and no other fault."""
    with pytest.raises(Malformed, match=r"^The body is not a JSON object\.$") as refused:
        Envelope(body)
    assert refused.value.field is None


@steady
@given(st.binary() | st.binary().map(lambda inner: b'{"model":' + inner + b"}"))
def test_any_bytes_can_be_read(body: bytes) -> None:
    """Whatever a caller sends is an envelope or Malformed, and no other fault."""
    try:
        envelope = Envelope(body)
        envelope.require_string("model")
    except Malformed:
        return
    encoded, start, end = envelope.encode("model")
    assert Envelope(encoded).require_string("model") == json.loads(encoded[start:end])


ENVELOPE = Envelope(
    b'{"s":"x","empty":"","n":5,"zero":0,"f":1.5,"whole":1.0,"t":true,"null":null,"l":[1],"o":{"a":1},'
    b'"big":1' + b"0" * 400 + b',"bigger":1' + b"0" * 5_000 + b"}"
)


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        *(("s", str, "x"), ("n", int, 5), ("t", bool, True), ("o", dict[str, Any], {"a": 1}), ("l", list[int], [1])),
        *(("null", str, None), ("absent", int, None), ("big", int, 10**400)),
    ],
)
def test_a_member_is_read_as_its_kind(name: str, kind: type[Any], value: object) -> None:
    """A member that is what it should be is decoded; null and absent are None."""
    assert ENVELOPE.get(name, kind) == value


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("n", str), ("l", str), ("o", str), ("s", int), ("f", int), ("whole", int), ("t", int)),
        *(("bigger", int), ("n", bool), ("s", bool), ("l", dict[str, Any]), ("s", dict[str, Any]), ("o", list[int])),
    ],
)
def test_a_member_of_another_kind_is_refused_by_name(name: str, kind: type[Any]) -> None:
    """Nothing is converted, and the refusal names the member in its text and as its field."""
    with pytest.raises(Malformed, match=f"^'{name}' is not valid: ") as refused:
        ENVELOPE.get(name, kind)
    assert refused.value.field == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "'absent' is missing."),
        ("null", "'null' is missing."),
        ("empty", "'empty' is empty."),
        ("n", "'n' is not valid: expected str, got int"),
    ],
)
def test_a_string_that_must_be_there(name: str, message: str) -> None:
    """A required string is refused when it is absent, null, empty or no string."""
    with pytest.raises(Malformed) as refused:
        ENVELOPE.require_string(name)
    assert (str(refused.value), refused.value.field) == (message, name)


@pytest.mark.parametrize(("body", "count"), [("1", 1), ("128", 128), ("null", None)])
def test_a_count(body: str, count: int | None) -> None:
    """An integer from 1 to the most is read, and null is as good as absent."""
    assert Envelope(f'{{"n":{body}}}'.encode()).count("n", 128) == count
    assert Envelope(b"{}").count("n", 128) is None


@pytest.mark.parametrize("body", ["0", "-1", "129", "1e2", "1.0", "true", '"1"', "[]", "1" + "0" * 5_000])
def test_what_is_no_count_is_refused_by_name(body: str) -> None:
    """Neither zero, nor too many, nor anything but an integer counts."""
    with pytest.raises(Malformed, match=r"^'n' ") as refused:
        Envelope(f'{{"n":{body}}}'.encode()).count("n", 128)
    assert refused.value.field == "n"


@pytest.mark.parametrize("body", [b'{"model":"m"}', b'{"o":1,"model":"m"}', b'{"o":1,"o":2,"model":"m"}'])
def test_a_member_can_be_put_in_place(body: bytes) -> None:
    """A member that is set takes the place of what the caller sent under its name, or comes last."""
    envelope = Envelope(body)
    envelope.set("o", {"a": 1})
    assert json.loads(envelope.encode("model")[0], object_pairs_hook=only_once) == {"model": "m", "o": {"a": 1}}
