"""Records in Redis: keys, owners, teams and tokens.

    read → change → put in place of what was read → stored and logged, or again from the start

A put is one script: the record, the limits that follow from it and the entry in the log of changes are there together,
or not at all. Digests stand beside the record, for the log has the record as it was and as it is.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from extproc.core.change import By
from extproc.errors import Stale
from extproc.store import scripts
from extproc.store.connection import Connection

UNNAMED = By("unnamed", 0)
"""Who makes a change when nobody says so."""

DIGESTS = ("digest", "old_digest")


class Revised(Protocol):
    """A record: a dataclass whose revision grows with every change."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def revision(self) -> int:
        """1 for the first, 0 for one that was never put."""
        ...


R = TypeVar("R", bound=Revised)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is, and in the same slot the ids of its kind and the log of changes. `of` is its own id."""

    record: str
    ids: str
    changes: str
    owner: str
    of: str


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of an account, by its name in Redis: to be `set`, or else only where the account has none yet."""

    account: str
    nano: int
    set: bool = True


async def read(redis: Connection, name: str, kind: type[R]) -> R | None:
    """A record as it is now. Raises `LedgerUnavailable`."""
    record, digests = await redis.execute("HMGET", name, "record", "digests")
    if not record:
        return None
    known: R = msgspec.json.decode(record, type=kind)
    return replace(known, **msgspec.json.decode(digests)) if digests else known


async def put(
    redis: Connection,
    place: Place,
    record: Revised,
    replaces: int,
    what: str,
    by: By,
    status: str = "active",
    limits: Iterable[Limit] = (),
) -> bool:
    """Put a record in place of the revision it `replaces`, 0 for a new one; False when that is not there.

    The same new record may be put again. Of two edits that are alike one counts as made meanwhile, for both may have
    added to what was there. Raises `LedgerUnavailable`.
    """
    shown = msgspec.to_builtins(record)
    digests = msgspec.json.encode({name: digest for name in DIGESTS if (digest := shown.pop(name, ""))})
    encoded, limits = msgspec.json.encode(shown), tuple(limits)
    mark = secrets.token_hex(8) if replaces else sha256(encoded + digests).hexdigest()
    stored = await redis.script(
        scripts.PUT,
        [place.record, place.ids, place.changes, *(limit.account for limit in limits)],
        [
            place.of,
            record.revision,
            replaces,
            status,
            encoded.decode(),
            digests.decode(),
            what,
            place.owner,
            by.who,
            by.now_ms,
            mark,
            *(word for limit in limits for word in ("set" if limit.set else "open", limit.nano)),
        ],
    )
    return bool(stored)


async def edit(
    read: Callable[[], Awaitable[R | None]],
    change: Callable[[R], R],
    put: Callable[[R, R], Awaitable[bool]],
    revision: int | None,
) -> R | None:
    """Change what `read` finds and `put` it, before and after; again when another edit came between.

    The record as it is now, None when there is none. What changes nothing is not put. Raises `Stale` unless it is the
    `revision` that is found, if one is given.
    """
    while (before := await read()) is not None:
        require(before, revision)
        after = change(before)
        if after == before:
            return before
        after = replace(after, revision=before.revision + 1)
        if await put(before, after):
            return after
    return None


def require(record: Revised, revision: int | None) -> None:
    """Raises `Stale` unless the record has this revision, if one is given."""
    if revision is not None and record.revision != revision:
        raise Stale(f"it has the revision {record.revision} and not {revision}; nothing was changed")
