"""What is wrong with the configuration, and where: one line each.

    config/groups.yaml:12: groups.default.channels[1].channel: there is no channel 'opnai' (did you mean 'openai'?)

A problem names what the author named (keys, channels, models) and shows no other value, because any value may be a
secret in the wrong place.
"""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass

YamlPath = tuple[str | int, ...]
"""Where a value is in its file: `("groups", "default", "channels", 1)`."""

_PLAIN = re.compile(r"[\w./:@+<-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct; line 0 is the file as a whole."""

    file: str
    line: int
    path: YamlPath
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, shown(self.path), self.text) if part)


def shown(path: YamlPath) -> str:
    """The path as a person writes it; a key with unusual characters stands in quotes, so that it stays on its line.

    >>> shown(("groups", "default", "channels", 1, "channel"))
    'groups.default.channels[1].channel'
    """
    parts = (f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def there_is_no(kind: str, name: str, known: Collection[str]) -> str:
    """The words for a name that nothing has, with the nearest one that something has."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"there is no {kind} {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _quoted(key: str) -> str:
    return key if _PLAIN.fullmatch(key) else repr(key)
