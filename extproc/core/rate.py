"""Requests and tokens per minute, each as a bucket: a minute's worth fills it, and it empties evenly in a minute.

What is in a bucket is kept as the moment at which it will be empty, the generic cell rate algorithm's "theoretical
arrival time", in whole microseconds: nothing has to be emptied, and one number is all that is stored. A request that
is larger than its bucket passes when the bucket is empty, or it could never be made; the next one then waits for it.
"""

from dataclasses import dataclass

WINDOW_US = 60_000_000
"""The time in which a full bucket empties."""

LONGEST_US = 3_600_000_000
"""What one request may fill at most: its estimate may be far above what it will use, and its end may never be told."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What one request puts into one bucket: so many of the `per_minute` allowed, 0 for no limit."""

    per_minute: int = 0
    amount: int = 0

    @property
    def us(self) -> int:
        """How much longer the bucket takes to empty because of it; 0 without a limit."""
        return min(self.amount * WINDOW_US // self.per_minute, LONGEST_US) if self.per_minute else 0

    def back_us(self, used: int) -> int:
        """What goes back once it is known how much was really used; negative if that was more."""
        return self.us - Draw(self.per_minute, used).us

    def level(self, empty_at_us: int, now_us: int) -> "Level | None":
        """How full the bucket is that will be empty then; None without a limit."""
        if not self.per_minute:
            return None
        filled_us = max(empty_at_us - now_us, 0)
        over_us = max(filled_us + min(self.us, WINDOW_US) - WINDOW_US, 0)
        return Level(
            limit=self.per_minute,
            remaining=max(WINDOW_US - filled_us, 0) * self.per_minute // WINDOW_US,
            reset_ms=-(-filled_us // 1000),
            retry_ms=-(-over_us // 1000),
        )


NO_LIMIT = Draw()


@dataclass(frozen=True, slots=True)
class Level:
    """A limit per minute, what is left of it, when it will be whole again, and when the same could be asked again."""

    limit: int
    remaining: int
    reset_ms: int
    retry_ms: int
