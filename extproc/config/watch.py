"""Notices edits. Editors and `git pull` write in several steps, so an edit counts when nothing moves any more."""

from pathlib import Path

_Seen = frozenset[tuple[str, int, int, int]]


class Watch:
    """A folder of YAML that is looked at again and again. What it holds at first counts as an edit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = self._taken = _Seen()

    def edited(self) -> bool:
        """Whether there is an edit that was not told of yet, and since the last look nothing has moved."""
        now = self._look()
        quiet, self._seen = now == self._seen, now
        if not quiet or now == self._taken:
            return False
        self._taken = now
        return True

    def _look(self) -> _Seen:
        """Each file by name, inode, size and time: saving it unchanged counts too."""
        found = set()
        for path in self._folder.glob("*.yaml"):
            try:
                known = path.stat()
            except OSError:
                continue
            found.add((path.name, known.st_ino, known.st_size, known.st_mtime_ns))
        return _Seen(found)
