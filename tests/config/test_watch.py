"""When an edit counts as one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from extproc.config.watch import Watch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file."""
    (tmp_path / "groups.yaml").write_text("groups: {}\n")
    return tmp_path


@pytest.fixture
def watch(folder: Path) -> Watch:
    """A watch that has told of what was there at first."""
    watch = Watch(folder)
    assert [watch.edited() for _ in range(3)] == [False, True, False]
    return watch


def in_place(folder: Path) -> None:
    """As most editors write."""
    (folder / "groups.yaml").write_text("groups: {x: {}}\n")


def by_rename(folder: Path) -> None:
    """As git and other editors write; the text may be the same."""
    (folder / "new").write_text("groups: {}\n")
    (folder / "new").rename(folder / "groups.yaml")


def touched(folder: Path) -> None:
    """Saved without a change."""
    os.utime(folder / "groups.yaml", ns=(1, 1))


def added(folder: Path) -> None:
    """Another file."""
    (folder / "models.yaml").write_text("")


def removed(folder: Path) -> None:
    """One file fewer."""
    (folder / "groups.yaml").unlink()


def gone(folder: Path) -> None:
    """The folder itself, as when a branch without it is checked out."""
    removed(folder)
    folder.rmdir()


@pytest.mark.parametrize("edit", [in_place, by_rename, touched, added, removed, gone])
def test_an_edit_is_told_of_once_and_when_it_is_quiet(folder: Path, watch: Watch, edit: Callable[[Path], None]) -> None:
    """The look that sees it move says nothing, the next one tells, and none after that."""
    edit(folder)
    assert [watch.edited() for _ in range(4)] == [False, True, False, False]


def test_what_keeps_moving_is_not_told_of(folder: Path, watch: Watch) -> None:
    """As long as each look sees something else, somebody is still writing."""
    seen = []
    for size in range(5):
        (folder / "groups.yaml").write_text("#" * size)
        seen.append(watch.edited())
    assert [*seen, watch.edited()] == [False] * 5 + [True]


def test_what_is_taken_back_in_time_was_no_edit(folder: Path, watch: Watch) -> None:
    """A file that came and went between two looks leaves everything as it was."""
    added(folder)
    assert watch.edited() is False
    (folder / "models.yaml").unlink()
    assert [watch.edited() for _ in range(3)] == [False, False, False]


def test_other_files_do_not_count(folder: Path, watch: Watch) -> None:
    """An editor's own files, and git's, are no edits."""
    (folder / ".groups.yaml.swp").write_text("x")
    (folder / "README.md").write_text("x")
    assert [watch.edited() for _ in range(3)] == [False, False, False]
