"""What a key's holder is told about the key: its balance, its usage, and both as OpenAI-style clients read them.

Amounts are in nano-USD and beside it in USD, as text, exact. The billing pages have the fields of one-api and new-api,
which clients that show a balance were written for: numbers of USD, and of hundredths of it in `total_usage`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from extproc.core.identity import KeyRecord
from extproc.core.ledger import AccountKind, Balance
from extproc.core.money import decimal_usd
from extproc.core.spendable import Spendable

NO_LIMIT_USD = 100_000_000
"""What clients of one-api take for "no limit"."""

FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(9998, 12, 30)
"""Between them there is a beginning and an end of every day, in every zone."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ONE_DAY = timedelta(days=1)
_encoder = msgspec.json.Encoder(decimal_format="number")

Entry = dict[str, Any]


class Total(Protocol):
    """Sums of some requests."""

    @property
    def of(self) -> str:
        """The day or the model that they have in common."""

    @property
    def requests(self) -> int:
        """How many they are."""

    @property
    def failed(self) -> int:
        """Those with a status of 400 or more, or with no answer."""

    @property
    def input_tokens(self) -> int:
        """With those of the cache."""

    @property
    def cache_read_tokens(self) -> int:
        """Part of the input."""

    @property
    def output_tokens(self) -> int:
        """With those of reasoning."""

    @property
    def cost_nano(self) -> int:
        """What was charged."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of one key, by day and by model, and the sum of all."""

    days: Sequence[Total]
    models: Sequence[Total]
    everything: Total


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days in a time zone, both counted."""

    first: date
    last: date
    zone: tzinfo

    @classmethod
    def read(cls, first: str, last: str, today: date, zone: tzinfo) -> "Days":
        """As they were asked for: without a last day up to today, without a first one from that month's beginning on.

        Raises `ValueError`, which tells the caller why.
        """
        until = _day(last) if last else today
        since = _day(first) if first else until.replace(day=1)
        if since > until:
            raise ValueError(f"The first day, {since}, is after the last one, {until}.")
        return cls(since, until, zone)

    @property
    def from_ms(self) -> int:
        """When they begin."""
        return _begin_ms(self.first, self.zone)

    @property
    def until_ms(self) -> int:
        """When they have ended."""
        return _begin_ms(self.last + _ONE_DAY, self.zone)


def balance(spendable: Spendable, month: str) -> bytes:
    """What the key may still spend, and of each of its accounts the limit, the sums and what is left."""
    told = spendable.tightest
    accounts = [_account(spendable, kind, one, month) for kind, one in spendable.balances.items()]
    return _encoder.encode(
        {
            "object": "balance",
            "key": _key(spendable.key),
            **_money("available", spendable.available_nano),
            "limited_by": told[0].value if told else None,
            "accounts": accounts,
        }
    )


def usage(totals: Totals, days: Days, key: KeyRecord) -> bytes:
    """What the key has used in these days."""
    return _encoder.encode(
        {
            "object": "usage",
            "key": _key(key),
            "from": days.first,
            "until": days.last,
            "time_zone": str(days.zone),
            "total": _sums(totals.everything),
            "days": [{"day": each.of} | _sums(each) for each in totals.days],
            "models": [{"model": each.of} | _sums(each) for each in totals.models],
        }
    )


def subscription(spendable: Spendable) -> bytes:
    """What the key may spend in all: what it has spent, of what its tightest account counts, and what is left there.

    So the limit less `total_usage` (without dates) is what is left, as clients work it out.
    """
    left_nano = spendable.available_nano
    limit = Decimal(NO_LIMIT_USD) if left_nano is None else _usd(spendable.own_used_nano + left_nano)
    return _encoder.encode(
        {
            "object": "billing_subscription",
            "has_payment_method": True,
            "soft_limit_usd": limit,
            "hard_limit_usd": limit,
            "system_hard_limit_usd": limit,
            "access_until": spendable.key.expires_ms // 1000,
        }
    )


def billed(cost_nano: int) -> bytes:
    """What that came to, in hundredths of a USD."""
    return _encoder.encode({"object": "list", "total_usage": _usd(cost_nano * 100)})


def billed_daily(totals: Totals, zone: tzinfo) -> bytes:
    """The same with the costs of each day."""
    return _encoder.encode(
        {
            "object": "list",
            "total_usage": _usd(totals.everything.cost_nano * 100),
            "daily_costs": list(_daily_costs(totals.days, zone)),
        }
    )


def _daily_costs(days: Iterable[Total], zone: tzinfo) -> Iterable[Entry]:
    for each in days:
        items = [{"name": "all models", "cost": _usd(each.cost_nano * 100)}]
        yield {"timestamp": _begin_ms(date.fromisoformat(each.of), zone) // 1000, "line_items": items}


def _key(key: KeyRecord) -> Entry:
    known: Entry = {"id": key.key_id, "prefix": key.prefix, "name": key.name, "group": key.group}
    known |= {"team": key.team} if key.team else {}
    known |= {"member": key.member} if key.member else {}
    return known | {"expires_at": key.expires_ms // 1000 or None}


def _account(spendable: Spendable, kind: AccountKind, found: Balance, month: str) -> Entry:
    entry: Entry = {"account": kind.value} | ({"month": month} if kind is AccountKind.KEY_MONTH else {})
    if kind is AccountKind.WALLET and spendable.hides_wallet:
        return entry | {"exhausted": spendable.exhausted}
    limit_nano = None if found.available_nano is None else found.limit_nano
    return (
        entry
        | _money("limit", limit_nano)
        | _money("used", found.used_nano)
        | _money("held", found.held_nano)
        | _money("available", found.available_nano)
    )


def _sums(total: Total) -> Entry:
    return {
        "requests": total.requests,
        "failed": total.failed,
        "input_tokens": total.input_tokens,
        "cache_read_tokens": total.cache_read_tokens,
        "output_tokens": total.output_tokens,
    } | _money("cost", total.cost_nano)


def _money(what: str, nano: int | None) -> Entry:
    """None is no limit."""
    return {f"{what}_nano": nano, f"{what}_usd": None if nano is None else decimal_usd(nano)}


def _usd(nano: int) -> Decimal:
    """Exact, as a number."""
    return Decimal(decimal_usd(nano))


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"'{text[:40]}' is not a day such as 2026-11-30.")
    return day


def _begin_ms(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp() * 1000)
