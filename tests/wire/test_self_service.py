"""What holders ask about their keys, on a `MemoryLedger`: as things are now, and only for who may."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from extproc.core.identity import KeyRecord, KeyStatus, OwnerStatus
from extproc.core.ledger import Account, AccountKind
from extproc.core.memory_ledger import MemoryLedger
from extproc.dialects.routes import Asked, OwnKey
from extproc.dialects.self_service import Totals
from extproc.errors import Refusal
from extproc.wire.self_service import SelfService
from tests.core.samples import KEY
from tests.dialects.test_self_service import Sums
from tests.wire.test_admit import POST, Keys, admit, funded, refusal

NOW_MS = int(datetime(2026, 11, 30, 23, 30, tzinfo=UTC).timestamp() * 1000)
BERLIN = ZoneInfo("Europe/Berlin")
PATHS = ["/v1/balance", "/v1/usage", "/v1/dashboard/billing/subscription", "/dashboard/billing/usage"]


@dataclass
class Usage:
    """Totals that are always the same, and what was asked for."""

    asked: list[tuple[str, int, int]] = field(default_factory=list)

    async def totals(self, key: KeyRecord, from_ms: int, until_ms: int) -> Totals:
        self.asked.append((key.key_id, from_ms, until_ms))
        return Totals([Sums("2026-11-21")], [Sums("gpt")], Sums(""))


async def answer(ledger: MemoryLedger, asked: OwnKey, key: KeyRecord = KEY, usage: Usage | None = None) -> Any:
    """The answer as JSON, or the refusal."""
    told = await SelfService(ledger, usage or Usage(), BERLIN).answer(asked, key, NOW_MS)
    return told if isinstance(told, Refusal) else json.loads(told)


async def ask(keys: Keys, path: str, ledger: MemoryLedger) -> Any:
    """What admit answers to a question at this path."""
    return await admit(ledger, keys, {**POST, ":method": "GET", ":path": path}, None)


async def test_the_month_is_that_of_the_zone() -> None:
    """In Berlin it is December already; its limit is the key's, whatever the account of the month says."""
    key = replace(KEY, month_limit_nano=500)
    told = await answer(await funded(MemoryLedger(), key), OwnKey(Asked.BALANCE), key)
    month = told["accounts"][1]
    assert (month["account"], month["month"], month["limit_nano"]) == ("key_month", "2026-12", 500)
    assert (told["available_nano"], told["limited_by"]) == (500, "key_month")


async def test_a_bill_without_days_needs_no_index() -> None:
    """It is what the key's own account says; where the month decides, what that one says."""
    ledger, usage = await funded(MemoryLedger()), Usage()
    told = await answer(ledger, OwnKey(Asked.BILLED, "start_date=&end_date="), usage=usage)
    assert (told, usage.asked) == ({"object": "list", "total_usage": 0.0}, [])


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        (OwnKey(Asked.USAGE), "2026-12-01", "2026-12-02"),
        (OwnKey(Asked.USAGE, "from=2026-11-05"), "2026-11-05", "2026-12-02"),
        (OwnKey(Asked.USAGE, "until=2026-11-05"), "2026-11-01", "2026-11-06"),
        (OwnKey(Asked.USAGE, "x=1&from=2026-11-05&until=2026%2D11-06"), "2026-11-05", "2026-11-07"),
        (OwnKey(Asked.BILLED, "start_date=2026-11-05&end_date=2026-11-05"), "2026-11-05", "2026-11-06"),
        (OwnKey(Asked.BILLED, "end_date=2026-11-05"), "2026-11-01", "2026-11-06"),
    ],
)
async def test_which_days_the_index_is_asked_for(asked: OwnKey, first: str, end: str) -> None:
    """Those of this key, from midnight to midnight in the zone."""
    usage = Usage()
    await answer(MemoryLedger(), asked, usage=usage)
    times = (int(datetime.fromisoformat(day).replace(tzinfo=BERLIN).timestamp() * 1000) for day in (first, end))
    assert usage.asked == [(KEY.key_id, *times)]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            OwnKey(Asked.USAGE, "from=soon"),
            "'soon' is not a day such as 2026-11-30. 'from' and 'until' are days, both of which are counted.",
        ),
        (
            OwnKey(Asked.BILLED, "start_date=2026-11-02&end_date=2026-11-01"),
            "The first day, 2026-11-02, is after the last one, 2026-11-01."
            " 'start_date' and 'end_date' are days, both of which are counted.",
        ),
    ],
)
async def test_what_is_no_span_of_days(asked: OwnKey, message: str) -> None:
    """400, saying what is wrong with what; the index is not asked."""
    usage = Usage()
    told = await answer(MemoryLedger(), asked, usage=usage)
    assert (told.status, told.code, told.message, usage.asked) == (400, "invalid_request_error", message, [])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fresh", "said", "status"),
    [
        (None, {}, 401),
        (replace(KEY, status=KeyStatus.DISABLED), {}, 401),
        (replace(KEY, status=KeyStatus.DELETED), {}, 401),
        (replace(KEY, expires_ms=1), {}, 401),
        (replace(KEY, allowed_ips=("192.0.2.0/24",)), {}, 403),
        (KEY, {"status": OwnerStatus.SUSPENDED}, 403),
    ],
    ids=["unknown", "disabled", "deleted", "expired", "elsewhere", "suspended"],
)
async def test_what_a_worker_remembers_of_a_key_is_not_enough(
    path: str, fresh: KeyRecord | None, said: dict[str, Any], status: int
) -> None:
    """No hold would tell that the key has changed, so it is looked up anew; who may not call may not ask."""
    (told,) = await ask(Keys(KEY, fresh, {}, said), path, await funded(MemoryLedger()))
    assert refusal([told])[0] == status


async def test_an_answer_by_admit() -> None:
    """200 at the headers, which nobody may keep; nothing is held."""
    ledger = await funded(MemoryLedger())
    (told,) = await ask(Keys(None, KEY), "/v1/balance", ledger)
    immediate = told.immediate_response
    headers = {option.header.key: option.header.raw_value for option in immediate.headers.set_headers}
    assert (immediate.status.code, immediate.details) == (200, "tollgate_own_key")
    assert headers == {"content-type": b"application/json", "cache-control": b"no-store"}
    assert json.loads(immediate.body)["available_nano"] == 10**9
    assert (await ledger.balance(KEY.owner, Account(AccountKind.WALLET, KEY.owner))).held_nano == 0


async def test_a_group_that_is_gone_hides_no_money() -> None:
    """A key whose group is not in the catalog any more can still be asked about."""
    key = replace(KEY, group="nowhere")
    (told,) = await ask(Keys(key, key), "/v1/balance", await funded(MemoryLedger(), key))
    assert told.immediate_response.status.code == 200
