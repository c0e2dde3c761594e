"""`tollgate price` on a small configuration: what it prints, and what it refuses."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from extproc import __main__

CHANNELS = """
channels:
  vendor:
    dialect: openai
    base_url: http://vendor.test/v1
    models: {text: , drawn: , heard: , spoken: , asked: , ranked: }
"""
GROUPS = """
groups:
  default: {channels: [{channel: vendor}]}
  less: {multiplier: 0.95, models: [text], channels: [{channel: vendor}]}
"""
MODELS = """
models:
  text:
    price:
      {input: 2, cache_read: 0.5, output: 8, reasoning: 9, tiers: [{above: 100000, input: 4, output: 16}]}
    price_changes: [{valid_from: 2030-01-01, input: 20, output: 80}]
    max_output_tokens: 100
  drawn:
    price: {input: 1, per_image: [{price: 0.25, size: 2x2, quality: high}, {price: 0.1, size: 1x1}]}
  heard: {price: {per_minute: 0.006}}
  spoken: {price: {per_million_characters: 15}}
  asked: {price: {per_call: 0.04}}
  ranked: {price: {per_search: 0.002}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder with a model for each kind of price."""
    for name, text in (("channels", CHANNELS), ("groups", GROUPS), ("models", MODELS)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


class Price:
    """Runs `tollgate price` in this process."""

    def __init__(self, config: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._config, self._capture, self._patch = config, capture, patch

    def __call__(self, arguments: str) -> str:
        """What it prints when all is well; else why it ended."""
        command = ["tollgate", "price", *arguments.split(), "--config", str(self._config)]
        self._patch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        return str(ended.value.code) if ended.value.code else self._capture.readouterr().out

    def json(self, arguments: str) -> Any:
        """The same for scripts."""
        return json.loads(self(f"{arguments} --json"))


@pytest.fixture
def price(config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Price:
    """The command."""
    return Price(config, capsys, monkeypatch)


def test_a_price_is_explained_line_by_line(price: Price) -> None:
    """Each class has its tokens, its rate, what it is multiplied by and what it costs; the total is the charge."""
    said = price("text --group less --input 500 --cached 100 --output 50 --reasoning 10 --discount 0.5 --at 2029-12-31")
    heading, columns, *lines, total = said.splitlines()
    assert heading.startswith("text in group less; revision ")
    assert columns.split() == ["what", "count", "rate", "times", "nano", "USD"]
    assert [" ".join(line.split()) for line in lines] == [
        "input 400 2.00 USD per million × 0.95 × 0.5 380000 0.00038",
        "cache_read 100 0.50 USD per million × 0.95 × 0.5 23750 0.00002375",
        "output 40 8.00 USD per million × 0.95 × 0.5 152000 0.000152",
        "reasoning 10 9.00 USD per million × 0.95 × 0.5 42750 0.00004275",
    ]
    assert total == "Together 598500 nano, 0.0005985 USD."


COSTS = [
    ("text --at 2029-12-31 --input 100000", 200_000_000),
    ("text --at 2029-12-31 --input 100001", 400_004_000),
    ("text --at 2030-01-01 --input 100000", 2_000_000_000),
    ("text --at 2029-12-31", 0),
    ("drawn --images 3 --size 1x1", 300_000_000),
    ("drawn --images 3 --size 2x2 --quality high --input 10", 750_010_000),
    ("heard --seconds 90", 9_000_000),
    ("heard --seconds 0.001", 100),
    ("spoken --characters 1000", 15_000_000),
    ("ranked --searches 3", 6_000_000),
    ("asked", 40_000_000),
    ("asked --discount 0.75", 30_000_000),
]


@pytest.mark.parametrize(("arguments", "cost_nano"), COSTS)
def test_every_kind_of_price(price: Price, arguments: str, cost_nano: int) -> None:
    """By tokens, tiers and days, by the image, the minute, the character, the search and the call; the lines add up."""
    said = price.json(arguments)
    assert said["cost_nano"] == cost_nano
    assert sum(float(line["nano"]) for line in said["lines"]) == cost_nano


REFUSED = [
    ("txt", "there is no model 'txt' (did you mean 'text'?)"),
    ("text --group defualt", "there is no group 'defualt' (did you mean 'default'?)"),
    ("asked --group less", "group less does not offer asked"),
    (
        "drawn --images 1",
        "drawn has no price for a request that says nothing else; it has one for size 2x2, quality high; size 1x1",
    ),
    ("drawn --images 1 --size 3x3", "drawn has no price for size 3x3; it has one for size 2x2, quality high; size 1x1"),
    ("text --images 1", "text is not priced by images"),
    ("ranked --images 1", "ranked is not priced by images"),
    ("asked --searches 1", "asked is not priced by searches"),
    ("drawn --size 1x1 --seconds 1", "drawn is not priced by seconds"),
    ("heard --seconds 0.0001", "0.0001 is negative, or finer than a millisecond"),
    ("heard --seconds long", "'long' is no number of seconds, such as 4.5"),
    (
        "text --input 5 --cached 6",
        "the classes of --input are more than --input itself: it has the tokens of every class",
    ),
    ("text --reasoning 1", "the classes of --output are more than --output itself: it has the tokens of every class"),
    ("text --discount 1.1", "1.1 is not above 0 and at most 1, with six decimals at most"),
    ("text --discount 0", "0 is not above 0 and at most 1, with six decimals at most"),
    ("text --discount 0.1234567", "0.1234567 is not above 0 and at most 1, with six decimals at most"),
    ("text --discount half", "'half' is not a factor, such as 0.9"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_has_no_price_is_said(price: Price, arguments: str, message: str) -> None:
    """A wrong name, a unit the model is not priced by, classes that do not add up: each says what is wrong."""
    assert price(arguments) == f"tollgate: {message}"


def test_another_currency_stands_beside(price: Price, monkeypatch: pytest.MonkeyPatch) -> None:
    """The total is shown in the deployment's currency too; one that is none is refused."""
    monkeypatch.setenv("TOLLGATE_CURRENCY", "EUR:0.92")
    assert price("asked").splitlines()[-1] == "Together 40000000 nano, 0.04 USD (0.0368 EUR)."
    monkeypatch.setenv("TOLLGATE_CURRENCY", "euro")
    assert (
        price("asked") == "tollgate: TOLLGATE_CURRENCY: 'euro' is no currency and its units per USD, such as EUR:0.92"
    )
