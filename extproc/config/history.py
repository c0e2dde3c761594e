"""The catalogs that a folder has held, as far as git knows: to find the one that priced a request long ago.

    the folder as it is, perhaps not committed → the newest commit that touched it, on any branch → … → the oldest

Commits are read one by one, and only until what is asked for is found. Without git, or outside of a repository, there
is only the folder as it is; a shallow clone has the commits it has. The work tree is only read.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from extproc.config.load import load_as_written
from extproc.core.catalog import Catalog
from extproc.errors import ConfigError

FILES = ("channels.yaml", "groups.yaml", "models.yaml", "tiers.yaml")


class History:
    """The catalogs of a folder by revision. One that does not load, in whatever commit, is none."""

    def __init__(self, folder: Path) -> None:
        self._unread = _catalogs(folder)
        self._read: dict[str, Catalog] = {}

    def catalog(self, revision: str) -> Catalog | None:
        """What the folder said at this revision; None when it is nowhere."""
        while revision not in self._read:
            older = next(self._unread, None)
            if older is None:
                return None
            self._read[older.revision] = older
        return self._read[revision]


def _catalogs(folder: Path) -> Iterator[Catalog]:
    yield from _loaded(folder)
    for commit in _git(folder, "rev-list", "--all", "--full-history", "--", ".").split():
        with TemporaryDirectory(prefix="tollgate-history-") as aside:
            for name in FILES:
                if blob := _git(folder, "cat-file", "blob", f"{commit.decode()}:./{name}"):
                    (Path(aside) / name).write_bytes(blob)
            yield from _loaded(Path(aside))


def _loaded(folder: Path) -> Iterator[Catalog]:
    try:
        yield load_as_written(folder)
    except ConfigError:
        return


def _git(folder: Path, *arguments: str) -> bytes:
    """What git says; nothing when there is no git, no repository or no such thing in it."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)  # noqa: S603, S607
    except OSError:
        return b""
    return done.stdout if done.returncode == 0 else b""
