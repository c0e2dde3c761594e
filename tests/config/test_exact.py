"""Numbers are read exactly, and no input makes the loader fail in any other way than with a ConfigError."""

import contextlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.config.document import Value, read_document
from extproc.config.load import load
from extproc.config.schema import GroupSpec, PriceSpec, Scope
from extproc.errors import ConfigError

BASE = Path(__file__).parent / "base"
NANO = 10**9
SCOPE = Scope({}, channels=None, models=None)
in_place = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(folder: Path, text: str) -> Value:
    """The value of `value:` in a file."""
    file = folder / "one.yaml"
    file.write_text(f"value: {text}\n")
    values = read_document(file).values
    assert values is not None
    return values["value"]


SCALARS: list[tuple[str, Value]] = [
    ("0.1", Decimal("0.1")),
    ("0.10000000000000000000000000000000001", Decimal("0.10000000000000000000000000000000001")),
    ("1.", Decimal("1")),
    ("-2.5e-3", Decimal("-0.0025")),
    ("+7", 7),
    ("010", 10),
    ("true", True),
    ("false", False),
    ("~", None),
    ("null", None),
    ("", None),
    ("yes", "yes"),
    ("'0.1'", "0.1"),
    ('"true"', "true"),
    ("0x10", "0x10"),
    ("1_000", "1_000"),
    (".inf", ".inf"),
    ("2025-01-01", "2025-01-01"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars(text: str, value: Value, tmp_path: Path) -> None:
    """A plain scalar is what it looks like, to the last digit; a quoted one is always text."""
    found = read(tmp_path, text)
    assert found == value
    assert type(found) is type(value)


@in_place
@given(nano=st.integers(0, 10**6 * NANO), zeros=st.integers(0, 3))
def test_price_of_nine_decimals_is_exact(nano: int, zeros: int, tmp_path: Path) -> None:
    """A price with up to nine decimals becomes exactly that many nano-USD per million tokens."""
    text = f"{nano // NANO}.{nano % NANO:09d}{'0' * zeros}"
    price = PriceSpec.model_validate({"input": read(tmp_path, text)})
    assert price.input == nano


@in_place
@given(nano=st.integers(0, 10**6 * NANO - 1), tail=st.from_regex(r"[0-9]{0,60}[1-9]", fullmatch=True))
def test_price_finer_than_a_nano_is_refused(nano: int, tail: str, tmp_path: Path) -> None:
    """No digit beyond the ninth decimal is ever rounded away."""
    price = {"input": read(tmp_path, f"{nano // NANO}.{nano % NANO:09d}{tail}")}
    with pytest.raises(ValueError, match="finer than a billionth of a dollar"):
        PriceSpec.model_validate(price)


@in_place
@given(ppm=st.integers(1, 10**9))
def test_multiplier_of_six_decimals_is_exact(ppm: int, tmp_path: Path) -> None:
    """A multiplier with up to six decimals becomes exactly that many millionths."""
    multiplier = read(tmp_path, f"{ppm // 10**6}.{ppm % 10**6:06d}")
    group = {"multiplier": multiplier, "channels": [{"channel": "any"}]}
    assert GroupSpec.model_validate(group, context=SCOPE).multiplier == ppm


@pytest.mark.parametrize("text", ["1e-999999999", "1e999999999", "9" * 5000, "-0.0000000001"])
def test_absurd_numbers_are_refused_at_once(text: str, tmp_path: Path) -> None:
    """A number of any size is compared, never written out."""
    with pytest.raises(ValueError, match="must not be"):
        PriceSpec.model_validate({"input": read(tmp_path, text)})


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


def put(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The tree with another value at the path."""
    if not path:
        return value
    copy: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = put(tree[path[0]], path[1:], value)
    return copy


FILES = {file.name: yaml.safe_load(file.read_text()) for file in BASE.iterdir()}
PLACES = [(name, place) for name, tree in FILES.items() for place in places(tree)]
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
)


@in_place
@given(place=st.sampled_from(PLACES), value=anything)
def test_any_value_anywhere_is_taken_or_explained(
    place: tuple[str, tuple[str | int, ...]], value: Any, tmp_path: Path
) -> None:
    """Whatever stands at any place of any file, the answer is a catalog or a ConfigError."""
    for name, tree in FILES.items():
        changed = put(tree, place[1], value) if name == place[0] else tree
        (tmp_path / name).write_text(json.dumps(changed))
    with contextlib.suppress(ConfigError):
        load(tmp_path, {"OPENAI_API_KEY": "sk-openai"})


@in_place
@given(text=st.text(st.sampled_from("ab01 :-?[]{},&*!|>'\"%@#\n\t\\"), max_size=30) | st.text())
def test_any_text_is_read_or_explained(text: str, tmp_path: Path) -> None:
    """Whatever a file holds, either it is read, or its problems say why not."""
    file = tmp_path / "one.yaml"
    file.write_text(text, encoding="utf-8")
    document = read_document(file)
    assert document.values is not None or document.problems
