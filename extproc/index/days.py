"""Days in the deployment's time zone, written as `2026-11-22`."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

YEAR_9999_MS = 253_370_764_800_000
"""Before this there is a day for every moment, in every zone."""

_ONE = timedelta(days=1)


def day_of(time_ms: int, zone: tzinfo) -> str:
    """The day there at this time."""
    return datetime.fromtimestamp(time_ms / 1000, zone).date().isoformat()


def begin_ms(day: str, zone: tzinfo) -> int:
    """When this day began there, in Unix milliseconds."""
    return int(datetime.combine(date.fromisoformat(day), time(), zone).timestamp() * 1000)


def next_day(day: str) -> str:
    """The day after."""
    return (date.fromisoformat(day) + _ONE).isoformat()


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time as whole days, `first` up to but not with `end`, and the pieces of days at its ends.

    An empty `first` or `end` is none at all; a piece is from and until when, in Unix milliseconds.
    """

    first: str
    end: str
    pieces: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, from_ms: int, until_ms: int, zone: tzinfo) -> "Span":
        """From one moment up to another, 0 for no end."""
        first = day_of(from_ms, zone) if from_ms > 0 else ""
        end = day_of(until_ms, zone) if until_ms > 0 else ""
        if first and begin_ms(first, zone) < from_ms:
            first = next_day(first)
        if first and end and end < first:
            return cls(first, first, ((from_ms, until_ms),))
        pieces = []
        if first and from_ms < (whole := begin_ms(first, zone)):
            pieces.append((from_ms, whole))
        if end and (whole := begin_ms(end, zone)) < until_ms:
            pieces.append((whole, until_ms))
        return cls(first, end, tuple(pieces))
