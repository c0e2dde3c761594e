"""What a key's holder is told, word for word, and which days are meant."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.ledger import UNLIMITED, Balance
from extproc.core.spendable import Spendable
from extproc.dialects import self_service
from extproc.dialects.self_service import FIRST_DAY, LAST_DAY, Days, Totals
from tests.core.samples import KEY

TODAY = date(2026, 11, 22)
BERLIN = ZoneInfo("Europe/Berlin")
HOLDER = replace(KEY, name="laptop", expires_ms=1_800_000_000_999)
NONE = Balance(UNLIMITED)


@dataclass(frozen=True, slots=True)
class Sums:
    """A total, with numbers that cannot be taken for one another."""

    of: str
    requests: int = 3
    failed: int = 1
    input_tokens: int = 100
    cache_read_tokens: int = 20
    output_tokens: int = 7
    cost_nano: int = 1_234_567_891


def spendable(team: str = "", **balances: Balance) -> Spendable:
    """Of the holder's key in this team, without other limits than these."""
    key = replace(HOLDER, team=team, month_limit_nano=5_000_000_000)
    return Spendable.of(key, {each: balances.get(each.kind.value, NONE) for each in key.accounts("2026-11")})


def read(told: bytes) -> Any:
    """The JSON, with every number as it is written."""
    return json.loads(told, parse_float=Decimal)


def test_a_balance() -> None:
    """All accounts in the order in which they may refuse; null is no limit."""
    told = self_service.balance(spendable(wallet=Balance(10_000_000_000, 1, 2)), "2026-11")
    nothing = {"used_nano": 0, "used_usd": "0.00", "held_nano": 0, "held_usd": "0.00"}
    assert read(told) == {
        "object": "balance",
        "key": {
            "id": HOLDER.key_id,
            "prefix": HOLDER.prefix,
            "name": "laptop",
            "group": HOLDER.group,
            "expires_at": 1_800_000_000,
        },
        "available_nano": 5_000_000_000,
        "available_usd": "5.00",
        "limited_by": "key_month",
        "accounts": [
            {"account": "key", "limit_nano": None, "limit_usd": None, "available_nano": None, "available_usd": None}
            | nothing,
            {
                "account": "key_month",
                "month": "2026-11",
                "limit_nano": 5_000_000_000,
                "limit_usd": "5.00",
                "available_nano": 5_000_000_000,
                "available_usd": "5.00",
            }
            | nothing,
            {
                "account": "wallet",
                "limit_nano": 10_000_000_000,
                "limit_usd": "10.00",
                "used_nano": 2,
                "used_usd": "0.000000002",
                "held_nano": 1,
                "held_usd": "0.000000001",
                "available_nano": 9_999_999_997,
                "available_usd": "9.999999997",
            },
        ],
    }


@pytest.mark.parametrize(("left_nano", "exhausted"), [(1, False), (0, True), (-1, True)])
def test_the_wallet_of_a_team(left_nano: int, exhausted: bool) -> None:
    """Whether it is exhausted, and nothing else of it."""
    told = read(self_service.balance(spendable("red", wallet=Balance(77, 0, 77 - left_nano)), "2026-11"))
    assert told["accounts"][-1] == {"account": "wallet", "exhausted": exhausted}
    assert "77" not in str(told)


def test_a_usage() -> None:
    """The days that were meant, the sum, each day and each model."""
    days = Days.read("2026-11-01", "2026-11-22", TODAY, BERLIN)
    told = read(self_service.usage(Totals([Sums("2026-11-21")], [Sums("gpt")], Sums("")), days, HOLDER))
    sums: dict[str, Any] = {
        "requests": 3,
        "failed": 1,
        "input_tokens": 100,
        "cache_read_tokens": 20,
        "output_tokens": 7,
    }
    sums |= {"cost_nano": 1_234_567_891, "cost_usd": "1.234567891"}
    assert told.pop("key")["id"] == HOLDER.key_id
    assert told == {
        "object": "usage",
        "from": "2026-11-01",
        "until": "2026-11-22",
        "time_zone": "Europe/Berlin",
        "total": sums,
        "days": [{"day": "2026-11-21"} | sums],
        "models": [{"model": "gpt"} | sums],
    }


@pytest.mark.parametrize(
    ("found", "limit"),
    [
        (spendable(wallet=Balance(3_000_000_000, 100, 2_000_000_000), key=Balance(UNLIMITED, 100, 500)), "1.0000004"),
        (spendable(key_month=Balance(0, 1, 2), key=Balance(UNLIMITED, 1, 900)), "4.999999999"),
        (spendable(key=Balance(7, 0, 9)), "0.000000007"),
        (spendable(wallet=Balance(0, 0, 5)), "-0.000000005"),
    ],
)
def test_a_subscription(found: Spendable, limit: str) -> None:
    """What clients subtract their usage from, exact; the holds are out of it."""
    told = read(self_service.subscription(found))
    assert {told[f"{name}_limit_usd"] for name in ("soft", "hard", "system_hard")} == {Decimal(limit)}
    spent = read(self_service.billed(found.own_used_nano))["total_usage"]
    assert told["hard_limit_usd"] - spent / 100 == Decimal(found.available_nano or 0) / 10**9
    assert told["access_until"] == 1_800_000_000


def test_a_bill_by_days() -> None:
    """In hundredths of a USD; each day begins when it begins there."""
    told = read(self_service.billed_daily(Totals([Sums("2026-11-21")], [], Sums("", cost_nano=25_000_000)), BERLIN))
    begins = int(datetime(2026, 11, 21, tzinfo=BERLIN).timestamp())
    cost = Decimal("123.4567891")
    assert told == {
        "object": "list",
        "total_usage": Decimal("2.50"),
        "daily_costs": [{"timestamp": begins, "line_items": [{"name": "all models", "cost": cost}]}],
    }


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("", "", ("2026-11-01", "2026-11-22")),
        ("2026-10-05", "", ("2026-10-05", "2026-11-22")),
        ("", "2026-10-05", ("2026-10-01", "2026-10-05")),
        ("2026-11-22", "2026-11-22", ("2026-11-22", "2026-11-22")),
        ("2024-02-29", "2030-01-01", ("2024-02-29", "2030-01-01")),
    ],
)
def test_which_days_are_meant(first: str, last: str, expected: tuple[str, str]) -> None:
    """This month up to today, where nobody says otherwise."""
    days = Days.read(first, last, TODAY, UTC)
    assert (str(days.first), str(days.last)) == expected


def test_days_begin_by_their_zone() -> None:
    """The day on which a clock goes back has 25 hours."""
    days = Days.read("2026-10-25", "2026-10-25", TODAY, BERLIN)
    assert days.from_ms == int(datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp() * 1000)
    assert days.until_ms - days.from_ms == 25 * 3_600_000


@given(st.dates(FIRST_DAY, LAST_DAY), st.integers(0, 400), st.sampled_from([UTC, BERLIN, ZoneInfo("Asia/Kolkata")]))
def test_any_days(first: date, more: int, zone: ZoneInfo) -> None:
    """Whatever may be asked for has a beginning and an end; the first after the last is refused."""
    last = min(first + timedelta(more), LAST_DAY)
    days = Days.read(f"{first}", f"{last}", TODAY, zone)
    assert 0 <= days.from_ms < days.until_ms
    if last > first:
        with pytest.raises(ValueError, match="after"):
            Days.read(f"{last}", f"{first}", TODAY, zone)


@given(st.text(max_size=12).filter(lambda text: text.strip("0123456789-") != ""))
def test_what_is_no_day(text: str) -> None:
    """A `ValueError` that is a sentence, and no other fault."""
    with pytest.raises(ValueError, match=r"is not a day such as .*\.$"):
        Days.read(text, "9998-12-30", TODAY, UTC)
