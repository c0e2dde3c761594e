"""An entry of the usage log, and the row of its request.

A request may have several entries: expired, then reported late; estimated, then corrected. Each raises what is known,
so the row is what the last one says that says anything, and its cost is the sum of all. Its time is when the request
was admitted, as its first entry tells, so that no row ever moves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from extproc.core.ledger import Account, AccountKind, State, UsageEntry
from extproc.core.quote import Quote
from extproc.core.record import UsageRecord
from extproc.index.days import YEAR_9999_MS
from extproc.store.trace import read_record
from extproc.store.usage import usage_entry

EXPIRED = "expired"
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class Row:
    """One request, with the fields of the contract's `Request`; empty or 0 where nobody knows."""

    request_id: str
    time_ms: int
    owner: str
    team: str = ""
    member: str = ""
    key_id: str = ""
    key_prefix: str = ""
    group: str = ""
    model: str = ""
    vendor_model: str = ""
    channel: str = ""
    operation: str = ""
    stream: bool = False
    status: int = 0
    attempts: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0
    hold_nano: int = 0
    usage_source: str = ""
    first_byte_ms: int = 0
    duration_ms: int = 0
    revision: str = ""

    @property
    def failed(self) -> bool:
        """Whether it counts as failed: a status of 400 or more, or nobody told how it ended."""
        return self.status >= 400 or self.usage_source == EXPIRED


NAMES = tuple(each.name for each in fields(Row))
_numbers = attrgetter(*(each.name for each in fields(Row) if each.type is int))
_texts = attrgetter(*(each.name for each in fields(Row) if each.type is str))


class Unreadable(Exception):
    """An entry that is none of ours; the text says why."""


def entry_of(written: Mapping[str, str]) -> UsageEntry:
    """An entry by its fields in the log. Raises `Unreadable`."""
    try:
        return usage_entry(written)
    except KeyError as error:
        raise Unreadable(f"it has no {error}") from error
    except ValueError as error:
        raise Unreadable(str(error)) from error


def row_after(before: Row | None, entry: UsageEntry) -> Row:
    """The row of a request after one more entry. Raises `Unreadable` where it cannot be kept."""
    row = _row(entry)
    if before is not None:
        told = row if row.key_id else replace(before, usage_source=row.usage_source)
        row = replace(told, time_ms=before.time_ms, cost_nano=before.cost_nano + entry.cost_nano)
    if max(map(abs, _numbers(row))) > _LARGEST or not 0 <= row.time_ms < YEAR_9999_MS:
        raise Unreadable("a number is out of bounds")
    try:
        "".join(_texts(row)).encode()
    except UnicodeEncodeError as error:
        raise Unreadable("it is no text") from error
    return row


def _row(entry: UsageEntry) -> Row:
    record = _record(entry)
    source = entry.state.name.lower() if entry.state.settled else EXPIRED if entry.state is State.EXPIRED else "none"
    if record is None:
        return Row(entry.hold_id, entry.at_ms, entry.owner, cost_nano=entry.cost_nano, usage_source=source)
    team, member = _team(entry.owner, record.accounts)
    return Row(
        request_id=entry.hold_id,
        owner=entry.owner,
        team=team,
        member=member,
        key_id=record.key_id,
        key_prefix=record.key_prefix,
        group=record.group,
        model=record.model,
        operation=record.operation,
        stream=record.stream,
        cost_nano=entry.cost_nano,
        hold_nano=record.hold_nano,
        usage_source=source,
        revision=record.revision,
        **({"time_ms": record.held_ms} if isinstance(record, Quote) else _ended(record)),
    )


def _ended(record: UsageRecord) -> dict[str, Any]:
    """What only a record tells, and no quote."""
    usage = record.usage
    return {
        "time_ms": record.time_ms,
        "vendor_model": record.vendor_model or "",
        "channel": record.channel or "",
        "status": record.status,
        "attempts": record.attempts,
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "first_byte_ms": record.first_byte_ms or 0,
        "duration_ms": record.duration_ms or 0,
    }


def _record(entry: UsageEntry) -> UsageRecord | Quote | None:
    try:
        return read_record(entry.record)
    except ValueError:
        return None


def _team(owner: str, accounts: tuple[Account, ...]) -> tuple[str, str]:
    names = {each.kind: each.name for each in accounts}
    team = names.get(AccountKind.TEAM, "").removeprefix(f"{owner}/")
    return team, names.get(AccountKind.MEMBER, "").removeprefix(f"{owner}/{team}/")
