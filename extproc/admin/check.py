"""What the fields of a request may be. Each returns the value as it is stored.

Raises `Refused` with the bound; for what the store checks as well, its `BadValue`.
"""

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, Protocol, TypeVar

import msgspec

from extproc.admin.refused import invalid
from extproc.core.checks import MAX_NAME, check_name, check_nano, check_owner, check_quota

MOST_WORDS = 100
"""In a list, such as the networks of a key."""

MOST_PER_MINUTE = 10**12
LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""

PAGE = 100
MOST_PAGE = 1000

E = TypeVar("E", bound=StrEnum)


class Revised(Protocol):
    """A message with `optional int64 revision`."""

    revision: int

    def HasField(self, field_name: Literal["revision"]) -> bool:  # noqa: N802 - as protobuf has it
        """Whether it is given."""
        ...


def owner(value: str) -> str:
    """The name of an owner, or of a person."""
    check_owner(value)
    return value


def name(value: str, what: str) -> str:
    """A name that others are made of."""
    check_name(what, value)
    return value


def text(value: str, what: str, most: int = MAX_NAME) -> str:
    """Some words, perhaps none."""
    if len(value) > most or not value.isprintable():
        raise invalid(f"{what} takes at most {most} printable characters")
    return value


def money(nano: int, what: str, least: int = 0) -> int:
    """An amount in nano-USD."""
    check_nano(what, nano, least)
    return nano


def quota(nano: int, what: str) -> int:
    """What may be spent in all, or `UNLIMITED`."""
    check_quota(what, nano)
    return nano


def per_minute(value: int, what: str) -> int | None:
    """A limit of a key; None for its group's."""
    return None if number(value, f"{what} (-1: as the group says)", -1, MOST_PER_MINUTE) == -1 else value


def number(value: int, what: str, least: int, most: int) -> int:
    """A whole number."""
    if not least <= value <= most:
        raise invalid(f"{what} is {value}, and must be from {least} to {most}")
    return value


def expiry(at_ms: int, now_ms: int) -> int:
    """When something new ends, 0 for never."""
    if number(at_ms, "expires_ms", 0, LAST_MS) and at_ms <= now_ms:
        raise invalid(f"expires_ms is {at_ms}, which is not after now, {now_ms}")
    return at_ms


def one_of(kinds: type[E], value: str, what: str, but: E | None = None) -> E:
    """One of a few words."""
    known = {kind.value: kind for kind in kinds if kind is not but}
    if value not in known:
        raise invalid(f"{what} is one of {', '.join(known)}")
    return known[value]


def words(values: Sequence[str], what: str) -> tuple[str, ...]:
    """A list of words, none twice and none empty."""
    if len(values) > MOST_WORDS or len(set(values)) != len(values) or "" in values:
        raise invalid(f"{what} takes at most {MOST_WORDS} words, none twice and none empty")
    return tuple(text(value, what) for value in values)


def networks(values: Sequence[str], what: str) -> tuple[str, ...]:
    """Networks such as `10.0.0.0/8`, or addresses."""
    return tuple(_network(value, what) for value in words(values, what))


def _network(value: str, what: str) -> str:
    try:
        if "%" in value:
            raise ValueError("it names an interface")
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise invalid(f"{what}: {value!r} is no network such as 10.0.0.0/8 or 2001:db8::/32 ({error})") from None


def page_size(value: int) -> int:
    """How many to a page."""
    return number(value, "page_size", 0, MOST_PAGE) or PAGE


def cursor(*position: str) -> str:
    """Where the next page begins, in words that nobody need understand."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def position(given: str, length: int) -> list[str] | None:
    """What `cursor` was made of; None for the first page."""
    if not given:
        return None
    try:
        found = msgspec.json.decode(base64.b64decode(given + "=" * (-len(given) % 4), b"-_", True), type=list[str])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        found = []
    if len(found) != length or cursor(*found) != given:
        raise invalid("cursor is not the next_cursor of a page")
    return found


def revision(request: Revised) -> int | None:
    """The revision that the caller has seen, if they say so."""
    return request.revision if request.HasField("revision") else None
