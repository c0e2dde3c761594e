"""What git knows of a folder, in real repositories."""

import os
import shutil
from pathlib import Path

import pytest

from extproc.config import history
from extproc.config.history import History
from extproc.config.load import load, load_as_written
from extproc.core.catalog import Catalog
from tests.config.repository import commit, git, new_repository


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder inside a new repository, with the base files, committed."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # a hook of git that runs the tests would point us to its own repository
    return new_repository(tmp_path / "repository")


def input_rate(catalog: Catalog | None) -> int | None:
    """What tells the catalogs of these tests apart."""
    return catalog.models["embedding"].price_at(0).terms.rates.input if catalog else None


def found(config: Path, *revisions: str) -> list[int | None]:
    """The price at each of these revisions, asked of one history in this order."""
    history = History(config)
    return [input_rate(history.catalog(revision)) for revision in revisions]


def test_every_commit_is_found(config: Path) -> None:
    """The folder as it is, not committed, and each commit before, in whatever order they are asked for."""
    first = load_as_written(config).revision
    second = commit(config, "0.02}", "0.03}")
    third = commit(config, "0.03}", "0.04}")
    (config / "models.yaml").write_text((config / "models.yaml").read_text().replace("0.04}", "0.05}"))
    now = load_as_written(config).revision
    prices = {first: 20_000_000, second: 30_000_000, third: 40_000_000, now: 50_000_000}
    assert len(prices) == 4
    assert found(config, *prices, "nowhere") == [*prices.values(), None]
    assert found(config, *reversed(prices)) == [*reversed(prices.values())]


def test_a_catalog_of_a_commit_is_what_was_written(config: Path) -> None:
    """All of it, not only its prices."""
    before = load_as_written(config)
    commit(config, "0.02}", "0.03}")
    assert History(config).catalog(before.revision) == before


def test_only_as_much_is_read_as_is_asked_for(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the folder says now needs no git at all; the last commit but one needs no third."""
    commits = [load_as_written(config).revision, commit(config, "0.02}", "0.03}"), commit(config, "0.03}", "0.04}")]
    loaded: list[Path] = []

    def noted(folder: Path) -> Catalog:
        loaded.append(folder)
        return load_as_written(folder)

    monkeypatch.setattr(history, "load_as_written", noted)
    asked = History(config)
    assert loaded == []
    assert [asked.catalog(commits[2]) and len(loaded), asked.catalog(commits[1]) and len(loaded)] == [1, 3]
    assert asked.catalog("nowhere") is asked.catalog("nowhere") is None
    assert len(loaded) == 4


def test_what_does_not_load_is_passed_over(config: Path) -> None:
    """Broken YAML, a file that is not there yet, and the broken files of today."""
    first = load_as_written(config).revision
    path = config / "models.yaml"
    good = path.read_text()
    for broken in ("models: [", "models: {gpt-5-mini: {}}"):
        path.write_text(broken)
        git(config, "commit", "--quiet", "--all", "--message", "broken")
    path.unlink()
    git(config, "commit", "--quiet", "--all", "--message", "gone")
    path.write_text(good)
    second = commit(config, "0.02}", "0.03}")
    path.write_text("nonsense")
    assert found(config, second, first) == [30_000_000, 20_000_000]


def test_an_old_commit_needs_none_of_its_environment(config: Path) -> None:
    """Its revision is the one that a worker had, with the variables and credentials of then."""
    commit(config, "https://spare.example.com/v1", "${LOST_SCHEME}://${LOST_HOST}:${LOST_PORT}/v1", "channels.yaml")
    then = {"LOST_SCHEME": "https", "LOST_HOST": "spare.example.com", "LOST_PORT": "99", "OPENAI_API_KEY": "sk"}
    revision = load(config, then).catalog.revision
    commit(config, "${LOST_SCHEME}://${LOST_HOST}:${LOST_PORT}/v1", "https://spare.example.com/v1", "channels.yaml")
    commit(config, "0.02}", "0.03}")
    assert found(config, revision) == [20_000_000]


def test_other_branches_are_known(config: Path) -> None:
    """What was deployed from a branch that was never merged, or whose merge took the other side."""
    git(config, "checkout", "--quiet", "-b", "hotfix")
    hotfix = commit(config, "0.02}", "0.09}")
    git(config, "checkout", "--quiet", "main")
    commit(config, "0.02}", "0.03}")
    assert found(config, hotfix) == [90_000_000]
    git(config, "merge", "--quiet", "--strategy", "ours", "--message", "merge", "hotfix")
    git(config, "branch", "--quiet", "--delete", "--force", "hotfix")
    assert found(config, hotfix) == [90_000_000]


def test_the_work_tree_is_left_alone(config: Path) -> None:
    """Looking for what is nowhere changes no file, also none of git's."""
    commit(config, "0.02}", "0.03}")
    repository = config.parents[1]

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}

    before = files()
    assert found(config, "nowhere") == [None]
    assert files() == before


@pytest.mark.parametrize("missing", ["git", "repository", "history", "folder"])
def test_without_a_history_there_is_the_folder_as_it_is(
    missing: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No git, no repository, a clone without older commits, or not even the folder: nothing fails."""
    old = load_as_written(config).revision
    now = commit(config, "0.02}", "0.03}")
    if missing == "git":
        monkeypatch.setenv("PATH", "")
    elif missing == "repository":
        shutil.rmtree(config.parents[1] / ".git")
    elif missing == "history":
        shallow = config.parents[2] / "shallow"
        git(config, "clone", "--quiet", "--depth", "1", f"file://{config.parents[1]}", str(shallow))
        config = shallow / "deep" / "config"
    else:
        config = config.parent / "nowhere"
    assert found(config, now, old) == [None if missing == "folder" else 30_000_000, None]
