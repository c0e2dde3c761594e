"""Lists that the admin API gives page by page."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol, TypeVar

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli.client import Client

PAGE = 500


class Paged(Protocol):
    """An answer that may not be the last."""

    @property
    def next_cursor(self) -> str:
        """Where the next page begins; empty after the last."""
        ...


P = TypeVar("P", bound=Paged)
T = TypeVar("T")


def every(ask: Callable[[int, str], P], items: Callable[[P], Iterator[T]], most: int | None = None) -> list[T]:
    """What all pages have, or the first so many. `ask` is told the size of a page and its cursor."""
    return list(islice(_each(ask, items, min(PAGE, most or PAGE)), most))


def keys_of(client: Client, owner: str = "", team: str = "", member: str = "") -> list[pb.Key]:
    """Every key of an owner, of a team of theirs, or of a member; all that one may see without an owner."""
    return every(
        lambda size, cursor: client.call(
            pb.ListKeysRequest(owner=owner, team=team, member=member, page_size=size, cursor=cursor),
            pb.ListKeysResponse,
        ),
        lambda page: iter(page.keys),
    )


def _each(ask: Callable[[int, str], P], items: Callable[[P], Iterator[T]], size: int) -> Iterator[T]:
    cursor = ""
    while True:
        page = ask(size, cursor)
        yield from items(page)
        cursor = page.next_cursor
        if not cursor:
            return
