"""`tollgate schema`: where it writes what."""

import json
import sys
from pathlib import Path

import pytest

from extproc import __main__

SCHEMAS = Path(__file__).parents[2] / "config" / "schema"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The exit code or message of `tollgate schema` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["tollgate", "schema", *arguments])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    return ended.value.code


def test_a_folder_gets_one_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files as in the repository, into a folder that need not be there; one alone on request."""
    assert run(monkeypatch, "--to", str(tmp_path / "all")) in (0, None)
    written = {path.name: path.read_text() for path in (tmp_path / "all").iterdir()}
    assert written == {path.name: path.read_text() for path in SCHEMAS.iterdir()}
    assert run(monkeypatch, "groups", "--to", str(tmp_path / "one")) in (0, None)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["groups.json"]


def test_without_a_folder_it_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One file's schema as it is, or all of them by their names."""
    assert run(monkeypatch, "groups") in (0, None)
    one = json.loads(capsys.readouterr().out)
    assert run(monkeypatch) in (0, None)
    every = json.loads(capsys.readouterr().out)
    assert one == every["groups"]
    assert every.keys() == {"channels", "groups", "models", "tiers"}


def test_a_file_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the nearest that is one."""
    said = "tollgate: there is no file 'group' (did you mean 'groups'?); there are: channels, groups, models, tiers"
    assert run(monkeypatch, "group") == said
