"""Where scripts stand, how they merge, and which are refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.simulator import Usage, script
from extproc.simulator.script import Script, ScriptError, UsageScript

_NUMBERS = st.integers(0, 10**6)
_KEYS = ["chunks", "delay_ms", "first_delay_ms", "header_then_delay_ms", "word_bytes", "body_bytes", "close_after"]
_SCRIPTS = st.dictionaries(st.sampled_from(_KEYS), _NUMBERS)


@given(_SCRIPTS, _SCRIPTS, st.dictionaries(st.sampled_from(["cached", "cache_write"]), _NUMBERS, min_size=1))
def test_path_wins(prompt: dict[str, Any], path: dict[str, Any], usage: dict[str, int]) -> None:
    """Of a key in both places the path's value counts, key by key within `usage`; all others are kept."""
    segment = "sim-" + ",".join(f"{key}={value}" for key, value in [*path.items(), ("usage.cached", 7)])
    merged = script.merge("a", prompt | {"usage": usage}, (segment,))
    assert merged == msgspec.convert(prompt | path | {"usage": usage | {"cached": 7}}, Script)


@pytest.mark.parametrize(
    ("directive", "vendor", "chunks", "status"),
    [
        ({}, "a", 5, 200),
        ({"chunks": 2}, "a", 2, 200),
        ({"chunks": 2, "only": {"a": {"status": 500}}}, "a", 2, 500),
        ({"chunks": 2, "only": {"a": {"status": 500}}}, "b", 2, 200),
        ({"chunks": 2, "only": {"a": {"chunks": 3}}}, "a", 3, 200),
        ({"only": {"": {"status": 429}}}, "", 5, 429),
    ],
)
def test_only(directive: dict[str, Any], vendor: str, chunks: int, status: int) -> None:
    """`only` holds for the vendor it names and wins over what stands beside it."""
    merged = script.merge(vendor, directive, ())
    assert (merged.chunks, merged.status) == (chunks, status)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ((), Script()),
        (("sim-status=429,retry_after=3",), Script(status=429, retry_after=3)),
        (("sim-no_usage=true", "sim-chunks=1"), Script(no_usage=True, chunks=1)),
        (("sim-chunks=1", "sim-chunks=2"), Script(chunks=2)),
        (("sim-reset_after=-1",), Script(reset_after=-1)),
        (("sim-usage.input=9,usage.cached=4",), Script(usage=UsageScript(input=9, cached=4))),
    ],
)
def test_path_script(segments: tuple[str, ...], expected: Script) -> None:
    """Path segments are `key=value` pairs, later segments winning."""
    assert script.merge("a", {}, segments) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], {}),
        (["no directive", "[[simple]"], {}),
        (['[[sim {"chunks": 1}]]'], {"chunks": 1}),
        (['a [[sim{"chunks":1}]] b [[sim {"chunks": 2}]] c'], {"chunks": 2}),
        (["none", 'x [[sim\n{"chunks": 3}\n]]', '[[sim {"chunks": 4}]]'], {"chunks": 3}),
    ],
)
def test_directive(texts: list[str], expected: dict[str, Any]) -> None:
    """The first text with a directive counts, and in it the last one."""
    assert script.directive_in(texts) == expected


@pytest.mark.parametrize(
    ("directive", "segments"),
    [
        ({"chunk": 1}, ()),
        ({"chunks": -1}, ()),
        ({"chunks": "many"}, ()),
        ({"status": 99}, ()),
        ({"reset_after": -2}, ()),
        ({"usage": {"in": 1}}, ()),
        ({"usage": 5}, ()),
        ({"only": 5}, ()),
        ({"only": {"a": 5}}, ()),
        ({}, ("sim-",)),
        ({}, ("sim-status",)),
        ({}, ("sim-status=bad",)),
        ({}, ("sim-only=1",)),
    ],
)
def test_refused(directive: dict[str, Any], segments: tuple[str, ...]) -> None:
    """What cannot be followed is refused, not ignored."""
    with pytest.raises(ScriptError):
        script.merge("a", directive, segments)


@pytest.mark.parametrize("text", ["[[sim]]", "[[sim {]]", "[[sim 5]]", "[[sim chunks=5]]"])
def test_refused_directive(text: str) -> None:
    """A directive is a JSON object."""
    with pytest.raises(ScriptError):
        script.directive_in([text])


@pytest.mark.parametrize(
    ("usage", "prompt_words", "expected"),
    [
        ({}, 3, Usage(3, 5)),
        ({}, 0, Usage(1, 5)),
        ({"input": 0, "output": 0}, 3, Usage(0, 0)),
        ({"cached": 2, "cache_write": 1, "reasoning": 5}, 3, Usage(3, 5, 2, 1, 5)),
        ({"cached": 2, "cache_write": 2}, 3, None),
        ({"reasoning": 6}, 3, None),
    ],
)
def test_usage(usage: dict[str, int], prompt_words: int, expected: Usage | None) -> None:
    """Usage comes from the prompt and the chunks unless scripted; classes above their total are refused."""
    scripted = script.merge("a", {"usage": usage}, ())
    if expected:
        assert scripted.usage_for(prompt_words) == expected
    else:
        with pytest.raises(ScriptError):
            scripted.usage_for(prompt_words)
