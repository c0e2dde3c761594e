"""What is lifted out of a stream is what Envoy's own filter lifts, whatever it says and however it is cut up."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.e2e.lifting import Lifting, lifting, rules


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lifting]:
    """The script alone."""
    with lifting(tmp_path_factory.mktemp("script"), reference=False) as running:
        yield running


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lifting]:
    """The script and Envoy's filter, one behind the other."""
    with lifting(tmp_path_factory.mktemp("both"), reference=True) as running:
        yield running


CHAT = {"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130}
COUNTED = {"input": 100, "output": 30, "total": 130}
FORGED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "input_tokens": 0, "output_tokens": 0}
FORGED_JSON = json.dumps({"usage": FORGED})


def event(data: Any) -> bytes:
    """One event, with this as JSON."""
    return f"data: {json.dumps(data)}\n\n".encode()


USAGE = event({"usage": CHAT})
SAID = "".join(f"data: {line}\n" for line in json.dumps({"usage": CHAT}, indent=1).splitlines()) + "\n"
LARGE = "w" * 9_000_000

STREAMS = {
    "a usage": (USAGE, COUNTED),
    "none yet": (event({"usage": None}) + event({"choices": []}), {}),
    "the last counts": (USAGE + event({"usage": {"prompt_tokens": 7}}), COUNTED | {"input": 7}),
    "one that is null later": (USAGE + event({"usage": None}), COUNTED),
    "no space after the colon": (USAGE.replace(b"data: ", b"data:"), COUNTED),
    "an end that never comes": (USAGE[:-1], {}),
    "carriage returns too": (USAGE.replace(b"\n", b"\r\n"), COUNTED),
    "carriage returns alone": (USAGE.replace(b"\n", b"\r"), COUNTED),
    "several lines of data": (SAID.encode(), COUNTED),
    "with a name, an id and a comment": (b"event: x\nid: 1\n: usage\n" + USAGE, COUNTED),
    "no JSON": (b'data: [DONE]\n\ndata: "usage":{"prompt_tokens":1}\n\ndata: {"usage":{"prompt_tokens":1}\n\n', {}),
    "more than one value": (b'data: {"usage":{"prompt_tokens":1}} {}\n\n', {}),
    "a list": (event([{"usage": CHAT}]), {}),
    "no object": (b'data: 0\n\ndata: null\n\ndata: true\n\ndata: "usage"\n\n' + USAGE, COUNTED),
    "written by the model": (USAGE + event({"choices": [{"delta": {"content": FORGED_JSON}}]}), COUNTED),
    "written twice over": (USAGE + event({"text": json.dumps({"text": FORGED_JSON})}), COUNTED),
    "written behind a backslash": (USAGE + event({"text": "\\" + FORGED_JSON[1:-1] + "\\"}), COUNTED),
    "events written by the model": (USAGE + event({"text": f"\n\ndata: {FORGED_JSON}\n\n"}), COUNTED),
    "given to a tool": (USAGE + event({"call": {"args": {"usage": FORGED, "message": {"usage": FORGED}}}}), COUNTED),
    "in a list of tools": (event({"tools": [{"usage": FORGED}, [{"usage": FORGED}]], "usage": CHAT}), COUNTED),
    "a key that ends like it": (
        event({'x"usage': FORGED, 'usage"': FORGED, "usage\\": FORGED, "usage": CHAT}),
        COUNTED,
    ),
    "a schema that Responses repeats": (
        event(
            {
                "response": {
                    "tools": [{"parameters": {"usage": FORGED, "response": {"usage": FORGED}}}],
                    "metadata": {"usage": json.dumps(FORGED)},
                    "usage": {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11},
                    "text": {"format": {"schema": {"usage": FORGED}}},
                }
            }
        ),
        {"input": 5, "output": 6, "total": 11},
    ),
    "before the usage in its event": (event({"text": FORGED_JSON, "usage": CHAT}), COUNTED),
    "after it": (event({"usage": CHAT, "text": FORGED_JSON, "args": {"usage": FORGED}}), COUNTED),
    "twice, the last counts": (b'data: {"usage":{"prompt_tokens":1,"prompt_tokens":2},"usage":{"x":1}}\n\n', {}),
    "words of two APIs": (event({"usage": {"input_tokens": 3, "prompt_tokens": 4}}), {"input": 3}),
    "numbers of all kinds": (
        event(
            {
                "usage": {
                    "prompt_tokens": "12",
                    "completion_tokens": 2.5,
                    "total_tokens": -3,
                    "seconds": 1e3,
                    "input_tokens": "0x10",
                    "prompt_cache_hit_tokens": True,
                    "prompt_cache_miss_tokens": "many",
                    "prompt_tokens_details": 7,
                    "completion_tokens_details": None,
                }
            }
        ),
        {"input": 16, "output": 2.5, "total": -3, "seconds": 1000, "cache_hit": 1},
    ),
    "brackets and quotes in text": (event({"text": '}]{["\\"', "usage": CHAT, "more": ["}", '"', "\\"]}), COUNTED),
    "an event of megabytes, its usage last": (
        event({"response": {"text": LARGE, "usage": {"input_tokens": 5}}}),
        {"input": 5},
    ),
    "of megabytes that are escaped": (event({"text": FORGED_JSON * 40_000, "usage": CHAT}), COUNTED),
    "too large, and one that is not": (event({"text": LARGE * 2, "usage": {"seconds": 5}}) + USAGE, COUNTED),
}


@pytest.mark.parametrize(("stream", "numbers"), STREAMS.values(), ids=STREAMS)
def test_what_is_lifted(script: Lifting, stream: bytes, numbers: dict[str, float]) -> None:
    """Only what the vendor says of the usage, in its place; nothing that a model or a caller has put there."""
    assert script.lifted(stream)[0] == numbers


MORE = b":"
"""Of a line that never ends: Envoy's own filter waits for what follows a carriage return."""

NOT_FOR_ENVOY = {
    "no object",  # Envoy 1.40.0 ends with a segmentation fault, and all that it carries
    "too large, and one that is not",  # it takes the rest for an event
}


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in NOT_FOR_ENVOY])
def test_envoys_own_filter_lifts_the_same(both: Lifting, name: str) -> None:
    """So the expectations above are not made up."""
    ours, reference = both.lifted(STREAMS[name][0], MORE)
    assert ours == reference


def test_in_whatever_pieces_it_comes(script: Lifting) -> None:
    """A stream cut in two at each of its bytes, in the middle of a line end too."""
    stream = event({"text": FORGED_JSON}) + b'data: {"usage":\ndata: {"prompt_tokens":9}}\n\n: more\n\n'
    for line_end in (b"\n", b"\r\n", b"\r"):
        said = stream.replace(b"\n", line_end)
        for at in range(len(said)):
            assert script.lifted(said[:at], said[at:])[0] == {"input": 9}, (line_end, at)


KEYS = (*sorted({key for _, keys in rules() for key in keys}), "choices", "text", 'x"usage', "usage\\")
SCALARS = st.one_of(
    st.integers(-5, 2**40).map(str),
    st.floats(0, 1e9).map(json.dumps),
    st.sampled_from(["null", "true", "false", '"12"', '" 7 "', '"1e2"', '"0x10"', '"many"', '""', '"+3"', "-0.0"]),
    st.sampled_from([FORGED_JSON, '{"usage', "}]", '"', "\\", '\\\\"', "data: {}\n\n", "ü\u2028"]).map(json.dumps),
)
BLANKS = st.sampled_from(["", "", "", " ", "\t ", "\n"])


@st.composite
def _listed(draw: st.DrawFn, inside: st.SearchStrategy[str]) -> str:
    return "[" + ",".join(draw(st.lists(inside, max_size=3))) + "]"


@st.composite
def _object(draw: st.DrawFn, inside: st.SearchStrategy[str], keys: Sequence[str] = KEYS) -> str:
    pairs = draw(st.lists(st.tuples(st.sampled_from(keys), inside), max_size=4))
    between = [draw(BLANKS) for _ in range(4)]
    said = (f"{between[0]}{json.dumps(key)}{between[1]}:{between[2]}{value}{between[3]}" for key, value in pairs)
    return "{" + ",".join(said) + "}"


VALUES = st.recursive(SCALARS, lambda inside: st.one_of(_object(inside), _listed(inside)), max_leaves=12)
COUNTS = _object(st.one_of(SCALARS, _object(SCALARS)))
TOLD = _object(COUNTS, ("usage", "usageMetadata", "text"))
ROOTS = st.one_of(
    TOLD,
    _object(st.one_of(COUNTS, TOLD, VALUES), ("usage", "response", "message", "text")),
    _object(VALUES),
    _listed(VALUES),
)
LINE_ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r"])


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, ...]:
    said = []
    for root in draw(st.lists(ROOTS, min_size=1, max_size=4)):
        line_end, space = draw(LINE_ENDS), draw(st.sampled_from([" ", ""]))
        lines = [f"data:{space}{line}" for line in root.split("\n")]
        before = draw(st.sampled_from([[], ["event: usage"], [": ping"], ["", "data: [DONE]", ""]]))
        said.append("".join(line + line_end for line in (*before, *lines, "")))
    stream = "".join(said).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    return tuple(stream[start:end] for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True))


@given(_streams())
@settings(deadline=None, max_examples=300)
@example((b'data: {"usage":{"prompt_tokens":5}}\r', b"\n\r", b"\n"))
@example((b'data: {"usa', b'ge":{"prompt_tokens":5}}\n', b"\n"))
def test_whatever_a_stream_says_both_lift_the_same(both: Lifting, pieces: tuple[bytes, ...]) -> None:
    """Objects in any depth, keys that are there twice, numbers of all kinds, events and lines in any pieces."""
    ours, reference = both.lifted(*pieces, MORE)
    assert ours == reference
