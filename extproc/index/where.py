"""What a question asks for, and what of it who asks may see."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from extproc.index.days import YEAR_9999_MS

EQUAL = ("owner", "team", "member", "key_id", "model", "group", "channel")
"""The fields of `Where` that a request has itself."""

_STATUS = re.compile(r"[1-9]xx|[1-9]\d\d|0")


class By(StrEnum):
    """What totals may be told by."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"
    MEMBER = "member"
    TEAM = "team"
    GROUP = "group"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Visible:
    """What somebody may see: all of an owner's, of one team's of theirs, or of one member's of it."""

    owner: str
    team: str | None = None
    member: str | None = None

    def names(self) -> Iterator[tuple[str, str]]:
        """The fields that must be so."""
        for name, value in (("owner", self.owner), ("team", self.team), ("member", self.member)):
            if value is not None:
                yield name, value


@dataclass(frozen=True, slots=True)
class Where:
    """What a request must match; what is empty or 0 is not looked at. `visible` is None for everything.

    From `from_ms` on and before `until_ms`, by when the request was admitted. `status` is as `200`, `4xx`, or `0` for
    a request that had no answer. Raises `ValueError` for what is out of bounds.
    """

    from_ms: int = 0
    until_ms: int = 0
    owner: str = ""
    team: str = ""
    member: str = ""
    key_id: str = ""
    model: str = ""
    group: str = ""
    channel: str = ""
    status: str = ""
    visible: tuple[Visible, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("from_ms", "until_ms"):
            if not 0 <= getattr(self, name) < YEAR_9999_MS:
                raise ValueError(f"{name} must be Unix milliseconds, 0 or more, before the year 9999")
        if self.status and not _STATUS.fullmatch(self.status):
            raise ValueError(f"there is no status {self.status!r}; say one, such as 200, or a class, such as 4xx")

    @property
    def equal(self) -> dict[str, str]:
        """The fields that are given."""
        return {name: value for name in EQUAL if (value := getattr(self, name))}

    @property
    def statuses(self) -> tuple[int, int] | None:
        """The lowest and the highest status that matches, None for any."""
        if not self.status:
            return None
        if self.status.endswith("xx"):
            lowest = int(self.status[0]) * 100
            return lowest, lowest + 99
        return int(self.status), int(self.status)

    @property
    def owners(self) -> frozenset[str] | None:
        """Whose requests alone can match, None for anybody's."""
        if self.owner:
            return frozenset({self.owner})
        return None if self.visible is None else frozenset(each.owner for each in self.visible)

    def branches(self) -> list[Mapping[str, str]]:
        """What a request's fields must be: all of any one of these."""
        if self.visible is None:
            return [self.equal]
        return [branch for each in self.visible if (branch := self._seen_by(each)) is not None]

    def _seen_by(self, visible: Visible) -> Mapping[str, str] | None:
        equal = self.equal
        for name, value in visible.names():
            if equal.setdefault(name, value) != value:
                return None
        return equal
