"""A connection that dies on the way, as a process does between any two of its commands."""

from typing import Any

from extproc.errors import LedgerUnavailable
from extproc.store.connection import Connection


class Dying(Connection):
    """The command that comes after `lives` others fails, and so do all after it; it is `done` all the same, or not."""

    def __init__(self, url: str, lives: int, done: bool) -> None:
        super().__init__(url)
        self.lives = lives
        self._done = done

    async def execute(self, command: str, *args: str | int) -> Any:
        """The command, as long as it lives."""
        self.lives -= 1
        if self.lives == -1 and self._done:
            await super().execute(command, *args)
        if self.lives < 0:
            raise LedgerUnavailable("the connection died")
        return await super().execute(command, *args)
