"""What good files become."""

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from extproc.config.load import Loaded, load, load_as_written
from extproc.core.catalog import Catalog, Channel, Dialect, Group, Member, Model, SecretRef
from extproc.core.pricing import Price, Rates, Terms
from extproc.errors import ConfigError

BASE = Path(__file__).parent / "base"
EXAMPLE = Path(__file__).parents[2] / "config"
ENV = {"OPENAI_API_KEY": "sk-openai", "SPARE_API_KEY": "sk-spare"}

OPENAI = Channel(
    "openai",
    Dialect.OPENAI,
    "https://api.openai.com/v1",
    SecretRef("env", "OPENAI_API_KEY"),
    {"gpt-5-mini": "gpt-5-mini", "fast": "gpt-5-nano"},
)
SPARE = Channel(
    "spare",
    Dialect.OPENAI,
    "https://spare.example.com/v1",
    SecretRef("env", "SPARE_API_KEY"),
    {"gpt-5-mini": "gpt-5-mini"},
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the base files, to be changed."""
    return Path(shutil.copytree(BASE, tmp_path / "config"))


def set_state(config: Path, state: str) -> None:
    """Write this state into the channel `openai`."""
    credential = "    credential: env:OPENAI_API_KEY"
    edit(config / "channels.yaml", credential, f"{credential}\n    state: {state}")


def edit(file: Path, old: str, new: str) -> None:
    """Replace what the file holds exactly once."""
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def model(name: str, max_output_tokens: int, **rates: int) -> Model:
    """A model with these rates and nothing special."""
    return Model(name, (Price(Terms(Rates.of(unit=None, **rates))),), max_output_tokens > 0, max_output_tokens)


def test_everything_the_files_say_is_in_the_catalog() -> None:
    """Channels, models with all five rates, and groups come out as they were written, defaults filled in."""
    catalog = load(BASE, ENV).catalog
    assert catalog.channels == {"openai": OPENAI, "spare": SPARE}
    assert catalog.models == {
        "gpt-5-mini": model("gpt-5-mini", 16_384, input=250_000_000, cache_read=25_000_000, output=2_000_000_000),
        "fast": model("fast", 8_192, input=50_000_000, output=400_000_000),
        "embedding": model("embedding", 0, input=20_000_000),
    }
    members = (Member(OPENAI, 0, 1), Member(SPARE, 1, 3))
    assert catalog.groups == {"default": Group("default", 950_000, frozenset({"gpt-5-mini", "fast"}), members)}


@pytest.mark.parametrize(
    ("price", "rates"),
    [
        ("{input: 2}", Rates.of(2)),
        ("{input: 2, cache_read: 0, cache_write: 0}", Rates.of(2, cache_read=0, cache_write=0)),
        ("{input: 2, cache_read: 1, cache_write: 3}", Rates.of(2, cache_read=1, cache_write=3)),
        ("{input: 2, cache_write: 3, cache_write_1h: 4}", Rates.of(2, cache_write=3, cache_write_1h=4)),
        ("{input: 2, input_audio: 9, input_image: 0}", Rates.of(2, input_audio=9, input_image=0)),
    ],
)
def test_rates_of_parts(price: str, rates: Rates, config: Path) -> None:
    """A part's rate that is not written is its whole's, an hour of cache costs as 5 minutes; a zero is a zero."""
    edit(config / "models.yaml", "{input: 0.02}", price)
    per_dollar = 1_000_000_000
    classes = [field.name for field in dataclasses.fields(rates) if field.name != "unit"]
    written = Rates(**{name: per_dollar * getattr(rates, name) for name in classes})
    assert load(config, ENV).catalog.models["embedding"].price_at(0) == Price(Terms(written))


@pytest.mark.parametrize(
    ("price", "output", "reasoning"),
    [("{input: 0, output: 0}", 0, 0), ("{input: 0, output: 2, reasoning: 0}", 2_000_000_000, 0)],
)
def test_free_output_is_still_output(price: str, output: int, reasoning: int, config: Path) -> None:
    """A model with an output price of zero generates, for nothing."""
    edit(config / "models.yaml", "{input: 0.05, output: 0.40}", price)
    assert load(config, ENV).catalog.models["fast"] == model("fast", 8_192, output=output, reasoning=reasoning)


def test_catalog_cannot_be_changed() -> None:
    """The catalog's mappings are read-only, so a request sees one snapshot from start to end."""
    catalog = load(BASE, ENV).catalog
    assert all(isinstance(part, MappingProxyType) for part in (catalog.channels, catalog.models, catalog.groups))


def test_optional_channel_without_credential_is_left_out_with_a_note() -> None:
    """The channel is gone from the catalog and from its groups, and the note says what is missing."""
    loaded = load(BASE, {"OPENAI_API_KEY": "sk-openai"})
    assert loaded.notes == ["channel spare is left out: SPARE_API_KEY is not set"]
    assert list(loaded.catalog.channels) == ["openai"]
    assert loaded.catalog.groups["default"].members == (Member(OPENAI, 0, 1),)


def test_group_keeps_only_models_that_are_still_served(config: Path) -> None:
    """A model whose every channel is left out is not offered, also where the group lists it."""
    edit(config / "groups.yaml", "    channels:", "    models: [gpt-5-mini, fast]\n    channels:")
    edit(config / "channels.yaml", "env:OPENAI_API_KEY", "env:OPENAI_API_KEY\n    optional: true")
    catalog = load(config, {"SPARE_API_KEY": "sk-spare"}).catalog
    assert catalog.groups["default"].models == {"gpt-5-mini"}


def test_group_without_a_channel_is_a_note_while_another_has_one(config: Path) -> None:
    """One group that has lost its channels does not stop the others."""
    with (config / "groups.yaml").open("a") as file:
        file.write("  lonely:\n    channels: [{channel: spare}]\n")
    loaded = load(config, {"OPENAI_API_KEY": "sk-openai"})
    assert loaded.notes == [
        "channel spare is left out: SPARE_API_KEY is not set",
        "group lonely has no channel left",
    ]
    assert loaded.catalog.groups["lonely"] == Group("lonely", 1_000_000, frozenset(), ())


@pytest.mark.parametrize("credentials", [True, False])
def test_a_disabled_channel_is_as_if_it_were_not_there(credentials: bool, config: Path) -> None:
    """It is gone from the catalog, its groups and their models, and needs no credential."""
    set_state(config, "disabled")
    edit(config / "groups.yaml", "    channels:", "    models: [gpt-5-mini, fast]\n    channels:")
    loaded = load(config, {"SPARE_API_KEY": "sk-spare"}, require_credentials=credentials)
    assert loaded.notes == ["channel openai is left out: it is disabled"]
    assert loaded.catalog.channels == {"spare": SPARE}
    left = Group("default", 950_000, frozenset({"gpt-5-mini"}), (Member(SPARE, 1, 3),))
    assert loaded.catalog.groups["default"] == left


def test_a_drained_channel_keeps_its_place(config: Path) -> None:
    """What runs on it needs its cluster and its credential; that no group has another is a note, not a fault."""
    set_state(config, "drained")
    with (config / "groups.yaml").open("a") as file:
        file.write("  lonely:\n    channels: [{channel: openai}]\n")
    loaded = load(config, ENV)
    assert loaded.notes == ["channel openai is drained: it gets no new request", "group lonely has no channel left"]
    assert loaded.catalog.channels == {"openai": dataclasses.replace(OPENAI, drained=True), "spare": SPARE}
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        load(config, {"SPARE_API_KEY": "sk-spare"})


def test_whose_certificate_is_checked(config: Path) -> None:
    """By default and with a CA of its own, silently; not at all, with a note. Each way is another cluster."""
    spare = {"SPARE_API_KEY": "sk-spare"}
    written = (config / "channels.yaml").read_text()
    clusters = {load(config, ENV | spare).catalog.channels["spare"].cluster}
    for terms, notes in (
        ("ca_file: /etc/vendor.pem", []),
        ("insecure_tls: true", ["channel spare is not safe: insecure_tls"]),
    ):
        (config / "channels.yaml").write_text(written.replace("optional: true", f"optional: true\n    {terms}"))
        loaded = load(config, ENV | spare)
        assert loaded.notes == notes
        clusters.add(loaded.catalog.channels["spare"].cluster)
    assert len(clusters) == 3


def test_limits_of_a_channel_and_terms_of_a_group(config: Path) -> None:
    """What a channel may have under way, what a group waits and shows; a stream is waited for like the rest."""
    edit(config / "channels.yaml", "    optional: true", "    optional: true\n    max_concurrent: 7")
    edit(config / "groups.yaml", "    channels:", "    per_try_seconds: 9\n    show_channel: true\n    channels:")
    catalog = load(config, ENV).catalog
    assert {name: channel.max_concurrent for name, channel in catalog.channels.items()} == {"openai": 0, "spare": 7}
    group = catalog.groups["default"]
    assert (group.try_seconds(stream=False), group.try_seconds(stream=True), group.show_channel) == (9, 9, True)
    edit(config / "groups.yaml", "    per_try_seconds: 9", "    per_try_seconds: 9\n    first_byte_seconds: 3")
    group = load(config, ENV).catalog.groups["default"]
    assert (group.try_seconds(stream=False), group.try_seconds(stream=True)) == (9, 3)


def test_check_without_credentials_takes_every_channel() -> None:
    """CI has no secrets: nothing is looked for, nothing is left out, and the verdict is the same everywhere."""
    loaded = load(BASE, {}, require_credentials=False)
    assert loaded == Loaded(load(BASE, ENV).catalog, [])
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        load(BASE, {})


def test_credential_in_a_file(config: Path, tmp_path: Path) -> None:
    """A credential may be in a file, which is looked at but not kept."""
    key = tmp_path / "openai-key"
    key.write_text("sk-openai\n")
    edit(config / "channels.yaml", "env:OPENAI_API_KEY", f"file:{key}")
    catalog = load(config, {}).catalog
    assert catalog.channels["openai"].credential == SecretRef("file", str(key))
    assert "sk-openai" not in repr(catalog)


def recommented(config: Path) -> None:
    """Comments, layout and the order of keys."""
    text = (config / "models.yaml").read_text()
    head, *entries = text.replace("models:", "models: # the prices").split("\n  gpt-5-mini:")
    (config / "models.yaml").write_text(
        f"# a comment\n{head}\n  embedding: {{price: {{input: 0.020}}}}"
        + "\n  fast: {max_output_tokens: 8192, price: {output: 0.4, input: 5e-2}}\n  gpt-5-mini:"
        + entries[0].split("  fast:")[0]
    )


SAME: list[Callable[[Path], None]] = [
    recommented,
    lambda config: edit(config / "groups.yaml", "0.95", "0.950"),
    lambda config: edit(config / "groups.yaml", "{channel: spare, priority: 1,", "{priority: 1, channel: spare,"),
    lambda config: edit(config / "models.yaml", "output: 2.00", "output: 0.2e1"),
    lambda config: edit(config / "models.yaml", "output: 2.00", "output: 2"),
]

DIFFERENT: list[Callable[[Path], None]] = [
    lambda config: edit(config / "groups.yaml", "0.95", "0.96"),
    lambda config: edit(config / "groups.yaml", "weight: 3", "weight: 4"),
    lambda config: edit(config / "groups.yaml", "    channels:", "    models: [fast]\n    channels:"),
    lambda config: edit(config / "models.yaml", "0.02}", "0.020000001}"),
    lambda config: edit(config / "models.yaml", "8192", "8193"),
    lambda config: edit(config / "channels.yaml", "fast: gpt-5-nano", "fast: gpt-5"),
    lambda config: edit(config / "channels.yaml", "env:OPENAI_API_KEY", "env:SPARE_API_KEY"),
    lambda config: edit(config / "channels.yaml", "https://api.openai.com/v1", "https://api.openai.com/v2"),
    lambda config: edit(config / "channels.yaml", "https://api.openai.com/v1", "${URL:-https://api.openai.com/v1}"),
    lambda config: edit(config / "channels.yaml", "optional: true", "optional: false"),
    lambda config: edit(config / "groups.yaml", "{channel: openai}", "{channel: openai, priority: 0}"),
]


def revision(folder: Path, env: Mapping[str, str] = ENV) -> str:
    """The catalog's revision."""
    return load(folder, env).catalog.revision


@pytest.mark.parametrize("change", SAME)
def test_revision_stays(change: Callable[[Path], None], config: Path) -> None:
    """Configurations that say the same have the same revision, wherever and however they are written."""
    change(config)
    assert revision(config) == revision(BASE)


@pytest.mark.parametrize("change", DIFFERENT)
def test_revision_changes(change: Callable[[Path], None], config: Path) -> None:
    """Whatever changes what a request does or costs changes the revision."""
    change(config)
    assert revision(config) != revision(BASE)


def test_revision_is_known() -> None:
    """The revision is the same in every process and release, as usage records name it."""
    assert revision(BASE) == "590a25ec9acd"


def test_revision_is_the_same_wherever_the_files_are_read(config: Path) -> None:
    """It is a name of what is in git: no variable, no secret's value and no left-out channel is in it."""
    edit(config / "channels.yaml", "https://spare.example.com/v1", "${SPARE_URL}/v1")
    here = revision(config, {**ENV, "SPARE_URL": "https://one.example.com"})
    assert here == revision(config, {"OPENAI_API_KEY": "other", "SPARE_URL": "https://two.example.com"})
    assert here == load_as_written(config).revision


def test_files_are_read_as_written_without_an_environment(config: Path) -> None:
    """Every channel is there, and a base URL keeps its variables; all else is as with an environment."""
    edit(config / "channels.yaml", "https://spare.example.com/v1", "${SPARE_URL}")
    written, loaded = (
        load_as_written(config),
        load(config, {**ENV, "SPARE_URL": "https://spare.example.com/v1"}).catalog,
    )
    assert written.channels["spare"] == dataclasses.replace(SPARE, base_url="${SPARE_URL}")
    assert written.models == loaded.models
    assert [each.multiplier_ppm for each in written.groups.values()] == [950_000]
    edit(config / "groups.yaml", "channel: spare", "channel: sparse")
    with pytest.raises(ConfigError, match="there is no channel 'sparse'"):
        load_as_written(config)


def of_dialect(catalog: Catalog, group: str) -> set[Dialect]:
    """The dialects that a group's channels speak."""
    return {member.channel.dialect for member in catalog.groups[group].members}


def test_example_runs_on_the_demo_vendor_alone() -> None:
    """The files in `config/` need nothing: every model of every group is served by a demo channel."""
    loaded = load(EXAMPLE, {})
    assert [note.split(":")[0] for note in loaded.notes] == [
        "channel openai is left out",
        "channel anthropic is left out",
        "channel gemini is left out",
        "channel openrouter is left out",
        "channel openai-videos is left out",
    ]
    assert all(channel.credential is None for channel in loaded.catalog.channels.values())
    assert loaded.catalog.channels["demo-openai"].base_url == "http://127.0.0.1:9100/openai/v1"
    assert loaded.catalog.groups["default"].models == loaded.catalog.models.keys() - {"sora-2"}
    assert loaded.catalog.groups["video"].models == {"sora-2"}
    assert of_dialect(loaded.catalog, "default") == set(Dialect)
    assert of_dialect(loaded.catalog, "claude-code") == {Dialect.ANTHROPIC}


def test_example_takes_the_real_vendors_first() -> None:
    """With the vendors' keys set, their channels come before the demo channels, for the same models."""
    vendors = ("OPENAI", "ANTHROPIC", "GEMINI", "OPENROUTER")
    keys = {**{f"{vendor}_API_KEY": vendor for vendor in vendors}, "TOLLGATE_DEMO_PORT": "9"}
    loaded, demo = load(EXAMPLE, keys), load(EXAMPLE, {})
    assert loaded.notes == []
    first = [member.channel.name for member in loaded.catalog.groups["default"].members if member.priority == 0]
    assert first == ["openai", "anthropic", "gemini"]
    assert loaded.catalog.channels["demo-gemini"].base_url == "http://127.0.0.1:9/gemini"
    for name, group in demo.catalog.groups.items():
        assert dataclasses.replace(loaded.catalog.groups[name], members=()) == dataclasses.replace(group, members=())
