"""Aliases and families, as the catalog has them: every public name is a model, and each channel has a name for it."""

import random
from pathlib import Path

import pytest

from extproc.config.load import load
from extproc.core.catalog import Catalog
from extproc.core.chain import build_chain, visible_models
from extproc.dialects.routes import CHAT
from extproc.errors import ConfigError

CHANNELS = """
channels:
  own:
    dialect: openai
    base_url: http://own.test/v1
    models: {gpt-5: , "gpt-5-*": "own/*"}
  router:
    dialect: openai
    base_url: http://router.test/v1
    models: {"*": "openai/*", "router/*": "*"}
"""
MODELS = """
models:
  gpt-5:
    price: {input: 1, output: 2}
    max_output_tokens: 100
    context_window: 400000
    aliases: [smart, router/smart]
  gpt-5-mini:
    price: {input: 1, output: 2}
    max_output_tokens: 100
    aliases: [fast]
  router/x:free:
    price: {input: 0, output: 0}
    max_output_tokens: 100
"""
GROUPS = """
groups:
  all:
    channels: [{channel: own}, {channel: router, priority: 1}]
  five:
    models: ["gpt-5*"]
    channels: [{channel: own}]
  routed:
    models: [gpt-5-mini, "router/*"]
    channels: [{channel: router}]
"""
NAMES = {"gpt-5", "smart", "router/smart", "gpt-5-mini", "fast", "router/x:free"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder with these three files."""
    for name, text in {"channels": CHANNELS, "models": MODELS, "groups": GROUPS}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def catalog(config: Path) -> Catalog:
    """What they say."""
    return load(config, {}).catalog


def test_an_alias_is_its_model_by_another_name(catalog: Catalog) -> None:
    """Price, size and estimate are the model's, and so is each channel's name for it."""
    assert catalog.models.keys() == NAMES
    for alias, model in {"smart": "gpt-5", "router/smart": "gpt-5", "fast": "gpt-5-mini"}.items():
        one, other = catalog.models[alias], catalog.models[model]
        assert one.name == alias
        assert (one.prices, one.max_output_tokens, one.generates) == (other.prices, 100, True)
        assert one.context_window == other.context_window
        assert all(channel.models.get(alias) == channel.models.get(model) for channel in catalog.channels.values())


def test_a_channel_serves_families(catalog: Catalog) -> None:
    """The star ranges over models, not over aliases, and the vendor's name is made of what it stands for."""
    assert catalog.channels["own"].models == {
        "gpt-5": "gpt-5",
        "smart": "gpt-5",
        "router/smart": "gpt-5",
        "gpt-5-mini": "own/mini",
        "fast": "own/mini",
    }
    assert catalog.channels["router"].models == {
        "gpt-5": "openai/gpt-5",
        "smart": "openai/gpt-5",
        "router/smart": "openai/gpt-5",
        "gpt-5-mini": "openai/gpt-5-mini",
        "fast": "openai/gpt-5-mini",
        "router/x:free": "x:free",
    }


def test_a_group_offers_families_with_their_aliases(catalog: Catalog) -> None:
    """Of what its channels serve, a group offers the models it names, under all their names."""
    assert {name: group.models for name, group in catalog.groups.items()} == {
        "all": NAMES,
        "five": {"gpt-5", "smart", "router/smart", "gpt-5-mini", "fast"},
        "routed": {"gpt-5-mini", "fast", "router/x:free"},
    }


@pytest.mark.parametrize("group", ["all", "five", "routed"])
def test_every_name_is_listed_exactly_if_it_can_be_called(catalog: Catalog, group: str) -> None:
    """An alias can be called, so it is listed."""
    listed = {model.name for model in visible_models(catalog, group, [CHAT], 0)}
    assert listed == {name for name in NAMES if build_chain(catalog, [group], name, CHAT, random.Random(1))}
    assert listed == catalog.groups[group].models


@pytest.mark.parametrize(
    ("file", "old", "new", "path"),
    [
        ("channels", "{gpt-5: ,", "{fast: ,", "channels.own.models.fast"),
        ("groups", "[gpt-5-mini,", "[fast,", "groups.routed.models[0]"),
    ],
)
def test_elsewhere_a_model_is_named_by_its_own_name(config: Path, file: str, old: str, new: str, path: str) -> None:
    """An alias in a channel or a group is refused, and the message says whose it is."""
    text = (config / f"{file}.yaml").read_text()
    (config / f"{file}.yaml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(config, {})
    words = "is an alias: name the model 'gpt-5-mini', its aliases come with it"
    assert [line.split(": ", 1)[1] for line in str(caught.value).splitlines()] == [f"{path}: {words}"]
