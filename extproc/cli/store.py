"""What the commands that read and write keys and accounts have in common: a connection, opened and closed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from extproc.errors import LedgerUnavailable, TollgateError
from extproc.settings import Settings, make_settings
from extproc.store.address import printable
from extproc.store.connection import Connection

T = TypeVar("T")


def with_redis(data: Path, redis_url: str | None, work: Callable[[Connection, Settings], Awaitable[T]]) -> T:
    """Do the work over a connection. Raises `TollgateError` that tells where Redis was looked for."""
    settings = make_settings(Path(), data, redis_url)

    async def connected() -> T:
        async with aclosing(Connection(settings.redis_url)) as connection:
            return await work(connection, settings)

    try:
        return asyncio.run(connected())
    except LedgerUnavailable as error:
        hint = "Is `tollgate up` running? Else name your Redis with --redis."
        raise TollgateError(f"no answer at {printable(settings.redis_url)} ({error}).\n{hint}") from error
