"""The gateway at hand: the admin service itself, in this process and straight on its Redis."""

import asyncio
import getpass
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TypeVar
from zoneinfo import ZoneInfo

from google.protobuf.message import Message

from extproc.admin.parts import Parts
from extproc.admin.refused import refused_by
from extproc.admin.service import Admin
from extproc.cli.place import Place
from extproc.cli.remote import verb_of
from extproc.cli.told import told
from extproc.clock import now_ms
from extproc.config.load import load
from extproc.core.catalog import Catalog
from extproc.core.people import Principal, Scope
from extproc.errors import ConfigError, LedgerUnavailable, TollgateError
from extproc.index.index import Index
from extproc.settings import Settings, load_pepper, make_settings
from extproc.store.address import printable
from extproc.store.connection import Connection

INDEX = "index.sqlite"

A = TypeVar("A", bound=Message)
T = TypeVar("T")


@contextmanager
def local(place: Place) -> Iterator["Local"]:
    """A client of the gateway whose Redis this is. Raises `TollgateError`."""
    settings = make_settings(place.config, place.data, place.redis)
    with asyncio.Runner() as runner:
        connection = Connection(settings.redis_url)
        index = Index(settings.data / INDEX, ZoneInfo(settings.time_zone))
        try:
            yield Local(runner, connection, index, settings)
        finally:
            index.close()
            with suppress(RuntimeError):  # a loop that Ctrl-C broke off may stop once more than it is told to
                runner.run(connection.aclose())


class Local:
    """A `Client` over one connection. It may do everything, as whoever can reach Redis may."""

    def __init__(self, runner: asyncio.Runner, connection: Connection, index: Index, settings: Settings) -> None:
        self._runner = runner
        self._settings = settings
        parts = Parts.over(connection, self.catalog, load_pepper(settings), now_ms, ZoneInfo(settings.time_zone))
        self._admin = Admin(parts, index)
        self._principal = Principal(f"local:{_user()}", frozenset({Scope.OPERATOR}))

    def call(self, request: Message, answer: type[A]) -> A:
        """The one answer. Raises `TollgateError`."""
        verb = verb_of(request)
        found = self._run(verb, lambda: self._admin.call(verb, request, self._principal))
        assert isinstance(found, answer)
        return found

    def stream(self, request: Message, answer: type[A]) -> Iterator[A]:
        """Every answer, for as long as it takes. Raises `TollgateError`."""
        verb = verb_of(request)
        answers = self._admin.stream(verb, request, self._principal)
        while (found := self._run(verb, lambda: anext(answers, None))) is not None:
            assert isinstance(found, answer)
            yield found

    def catalog(self) -> Catalog:
        """What the folder of the YAML says. Raises `ConfigError`."""
        return self._catalog

    @cached_property
    def _catalog(self) -> Catalog:
        return load(self._settings.config, os.environ, require_credentials=False).catalog

    def _run(self, verb: str, work: Callable[[], Awaitable[T]]) -> T:
        async def done() -> T:
            return await work()

        try:
            return self._runner.run(done())
        except asyncio.CancelledError:  # by nobody but Ctrl-C
            raise KeyboardInterrupt from None
        except ConfigError:
            raise
        except LedgerUnavailable as error:
            hint = "Is `tollgate up` running? Else name your Redis with --redis, or a gateway elsewhere with --admin."
            raise TollgateError(f"no answer at {printable(self._settings.redis_url)} ({error}).\n{hint}") from error
        except sqlite3.Error as error:
            raise TollgateError(f"the index {self._settings.data / INDEX} cannot be used: {error}") from None
        except TollgateError as error:
            refused = refused_by(error, verb)
            raise told(refused.code, refused.message) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
