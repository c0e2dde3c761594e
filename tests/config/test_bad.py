"""One file per fault: `bad/<the file it stands for>/<fault>.yaml`, beside the good files of `base/`.

The comments at its top, `# => …`, are the whole message that is expected, line by line.
"""

import shutil
from pathlib import Path

import pytest

from extproc.config.load import load
from extproc.errors import ConfigError

HERE = Path(__file__).parent
ENV = {"OPENAI_API_KEY": "sk-a-good-key", "EMPTY_API_KEY": " "}
FAULTS = sorted((HERE / "bad").glob("*/*.yaml"))
SECRET = "hunter2secret"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good folder `config` in the working directory, so that messages show short paths."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(HERE / "base", "config")
    return Path("config")


def message_of(folder: Path) -> str:
    """What `load` has against the folder."""
    with pytest.raises(ConfigError) as caught:
        load(folder, ENV)
    return str(caught.value)


def expectation(fault: Path) -> str:
    """The message that a fixture expects."""
    lines = fault.read_bytes().decode(errors="replace").splitlines()
    return "\n".join(line.removeprefix("# => ") for line in lines if line.startswith("# => "))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.parent.name}/{fault.stem}")
def test_fault(fault: Path, config: Path) -> None:
    """Each fault is refused with exactly its message: file, line, path and what is wrong."""
    shutil.copy(fault, config / f"{fault.parent.name}.yaml")
    assert expectation(fault), "this fixture expects nothing"
    assert message_of(config) == expectation(fault)


def test_base_is_good(config: Path) -> None:
    """The files around a fault have none themselves, so each message is that of its fault."""
    assert load(config, ENV).catalog.groups["default"].multiplier_ppm == 950_000


def test_faults_of_all_files_come_at_once(config: Path) -> None:
    """One run tells what is wrong in every file, in the order of files and lines."""
    for fault in ("channels/dialect", "groups/weight_zero", "models/price_negative"):
        shutil.copy(HERE / "bad" / f"{fault}.yaml", config / f"{fault.split('/')[0]}.yaml")
    assert message_of(config).splitlines() == [
        "config/channels.yaml:5: channels.openai.dialect: must be one of openai, anthropic, gemini",
        "config/groups.yaml:9: groups.default.channels[1].weight: must be 1 or more",
        "config/models.yaml:5: models.gpt-5-mini.price.input: must not be negative",
    ]


def test_unreadable_file_hides_no_other_fault_and_makes_none_up(config: Path) -> None:
    """When a file cannot be read, names that may be in it are not called unknown."""
    shutil.copy(HERE / "bad/channels/syntax_error.yaml", config / "channels.yaml")
    shutil.copy(HERE / "bad/groups/many_at_once.yaml", config / "groups.yaml")
    lines = message_of(config).splitlines()
    assert [line.split(":")[0] for line in lines] == ["config/channels.yaml"] + 3 * ["config/groups.yaml"]
    assert not any("opnai" in line for line in lines)


def test_faulty_channel_is_not_said_to_serve_nothing(config: Path) -> None:
    """What a group's channels serve is only judged when all of them can be read."""
    shutil.copy(HERE / "bad/channels/dialect.yaml", config / "channels.yaml")
    groups = (config / "groups.yaml").read_text()
    (config / "groups.yaml").write_text(groups.replace("    channels:", "    models: [fast]\n    channels:"))
    assert message_of(config) == expectation(HERE / "bad/channels/dialect.yaml")


def test_empty_folder(config: Path) -> None:
    """A folder without files is told which files it needs."""
    for file in config.iterdir():
        file.unlink()
    assert message_of(config).splitlines() == [
        "config/channels.yaml: there is no such file",
        "config/groups.yaml: there is no such file",
        "config/models.yaml: there is no such file",
    ]


def test_no_folder(config: Path) -> None:
    """A folder that is not there is one problem, not three."""
    assert message_of(config / "nowhere") == "config/nowhere: there is no such folder"


@pytest.mark.parametrize("field", ["dialect", "base_url", "credential", "optional", "models", "api_key"])
@pytest.mark.parametrize("form", ["{}", "env:{}", "file:{}", "vault:{}", "https://me:{}@host", "[{}]", "{{key: {}}}"])
def test_no_message_shows_a_secret(field: str, form: str, config: Path) -> None:
    """A secret in the place of any value of a channel is refused, and nothing of it is shown."""
    file = config / "channels.yaml"
    kept = [line for line in file.read_text().splitlines() if not line.strip().startswith(f"{field}:")]
    file.write_text("\n".join([*kept[:2], f"    {field}: {form.format(SECRET)}", *kept[2:]]))
    assert SECRET not in message_of(config)


def test_no_expected_message_shows_a_secret() -> None:
    """Every fixture that holds a secret expects a message that does not."""
    holding = [fault for fault in FAULTS if SECRET.encode() in fault.read_bytes()]
    assert len(holding) >= 7
    assert not [fault for fault in holding if SECRET in expectation(fault)]
