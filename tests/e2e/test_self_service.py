"""What a key's holder asks about it, with the key itself: the figures are the ledger's, to the nano."""

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from extproc.core.identity import KeyRecord, OwnerStatus
from extproc.core.ledger import Balance
from extproc.core.money import NANO_PER_USD, decimal_usd
from tests.e2e.calls import Reading, call, read_stream, streams_running
from tests.e2e.harness import HTTP, Customer, Gateway
from tests.e2e.test_tasks import another_key

PAGES = ["/v1/balance", "/v1/usage", "/v1/dashboard/billing/subscription", "/v1/dashboard/billing/usage"]
CALLED = ["chat", "chat stream", "messages", "generate stream", "embeddings"]


def ask(gateway: Gateway, customer: Customer, path: str, method: str = "GET", **params: str) -> httpx.Response:
    """A question about the key."""
    headers = {"authorization": f"Bearer {customer.key}"}
    return HTTP.request(method, gateway.url + path, headers=headers, params=params)


def told(gateway: Gateway, customer: Customer, path: str, **params: str) -> dict[str, Any]:
    """Its answer, numbers with a point as they are written."""
    answer = ask(gateway, customer, path, **params)
    assert answer.status_code == 200, answer.text
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")
    found: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
    return found


def today(gateway: Gateway) -> date:
    """The day in the deployment's zone."""
    return datetime.now(ZoneInfo(gateway.settings.time_zone)).date()


def accounts(balance: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The accounts of a balance by their kinds."""
    return {each["account"]: each for each in balance["accounts"]}


def shown(balance: Balance) -> dict[str, Any]:
    """What is told of an account of which the ledger says this."""
    sums = {"used": balance.used_nano, "held": balance.held_nano, "available": balance.available_nano}
    sums["limit"] = None if balance.available_nano is None else balance.limit_nano
    return {f"{name}_nano": nano for name, nano in sums.items()} | {
        f"{name}_usd": None if nano is None else decimal_usd(nano) for name, nano in sums.items()
    }


def test_the_figures_are_the_ledgers(chains: Gateway) -> None:
    """After calls in every dialect, one cut off and one that failed: by day, by model, in all, and in every account."""
    customer = chains.customer(usd="10", cap_nano=3 * NANO_PER_USD, month_limit_nano=2 * NANO_PER_USD)
    for form in CALLED:
        assert call(chains, customer, form).status_code == 200
    assert call(chains, customer, "chat", {"status": 400}).status_code == 400
    assert read_stream(chains, customer, "chat stream", {"chunks": 9, "close_after": 3}, Reading()).cut
    records = chains.settled(customer, len(CALLED) + 2)

    usage = told(chains, customer, "/v1/usage")

    charged = sum(record["charged_nano"] for record in records)
    assert usage["total"]["cost_nano"] == charged == chains.wallet(customer).used_nano > 0
    assert (usage["total"]["requests"], usage["total"]["failed"]) == (len(records), 1)
    for tokens in ("input_tokens", "cache_read_tokens", "output_tokens"):
        assert usage["total"][tokens] == sum(record["usage"][tokens] for record in records)
    by_model: dict[str, int] = {}
    for record in records:
        by_model[record["model"]] = by_model.get(record["model"], 0) + record["charged_nano"]
    assert {each["model"]: each["cost_nano"] for each in usage["models"]} == by_model
    assert sum(each["cost_nano"] for each in usage["days"]) == charged
    assert usage["total"]["cost_usd"] == decimal_usd(charged)

    balance = told(chains, customer, "/v1/balance")
    found = accounts(balance)
    assert list(found) == ["key", "key_month", "wallet"]
    assert found["wallet"] == {"account": "wallet"} | shown(chains.wallet(customer))
    assert found["key"] == {"account": "key"} | shown(chains.key_account(customer))
    month = found["key_month"]
    assert month.pop("month") == today(chains).isoformat()[:7]
    assert month == {"account": "key_month"} | shown(Balance(2 * NANO_PER_USD, 0, charged))
    assert (balance["available_nano"], balance["limited_by"]) == (2 * NANO_PER_USD - charged, "key_month")
    assert customer.key not in str(balance) + str(usage)


def test_what_is_held_is_told(chains: Gateway) -> None:
    """While a request runs its hold is out of what is available, and its usage is not there yet."""
    customer = chains.customer(usd="1")
    with streams_running(chains, customer, 1, {"chunks": 9, "pause_at": 2}):
        balance = told(chains, customer, "/v1/balance")
        held = chains.wallet(customer).held_nano
        assert accounts(balance)["wallet"]["held_nano"] == held > 0
        assert balance["available_nano"] == NANO_PER_USD - held
        assert told(chains, customer, "/v1/usage")["total"]["requests"] == 0
        HTTP.post(f"{chains.simulator_url}/_sim/resume")
    chains.settled(customer, 1)
    assert told(chains, customer, "/v1/usage")["total"]["requests"] == 1


def test_a_key_of_a_team(chains: Gateway) -> None:
    """It is told the quotas of its member and team, its own usage alone, and of the wallet whether it is exhausted."""
    customer = chains.customer(usd="7.654321", team="red", member="ann")
    other = another_key(chains, customer, team="red", member="bob")
    for each in (customer, other, other):
        assert call(chains, each, "chat").status_code == 200
    chains.settled(customer, 3)
    quotas = KeyRecord("", customer.owner, "", "", "", team="red", member="ann").quotas
    for quota, nano in zip(quotas, (5 * NANO_PER_USD, 4 * NANO_PER_USD), strict=True):
        chains.on_ledger(lambda ledger, of=quota, nano=nano: ledger.set_limit(customer.owner, of, nano))  # type: ignore[misc]

    balance = told(chains, customer, "/v1/balance")

    used = chains.wallet(customer).used_nano
    own = chains.key_account(customer).used_nano
    found = accounts(balance)
    assert list(found) == ["key", "key_month", "member", "team", "wallet"]
    assert found["wallet"] == {"account": "wallet", "exhausted": False}
    assert found["member"]["available_nano"] == 5 * NANO_PER_USD - own
    assert (balance["available_nano"], balance["limited_by"]) == (4 * NANO_PER_USD - used, "team")
    assert (balance["key"]["team"], balance["key"]["member"]) == ("red", "ann")
    assert told(chains, customer, "/v1/usage")["total"]["cost_nano"] == own == used // 3
    everything = "".join(ask(chains, customer, page).text for page in PAGES)
    wallet = chains.wallet(customer)
    assert not any(str(nano) in everything for nano in (wallet.limit_nano, wallet.available_nano))
    assert "7.65" not in everything

    chains.on_ledger(lambda ledger: ledger.adjust(customer.owner, -(wallet.available_nano or 0), "test", "out", 1))
    balance = told(chains, customer, "/v1/balance")
    assert (balance["available_nano"], balance["limited_by"]) == (0, "wallet")
    assert accounts(balance)["wallet"] == {"account": "wallet", "exhausted": True}


def test_what_clients_of_openai_work_out(chains: Gateway) -> None:
    """The limit less the usage is what is left, with `/v1` and without; with days the usage is that of those days."""
    customer = chains.customer(usd="2.5")
    other = another_key(chains, customer)
    for each in (customer, other):
        assert call(chains, each, "chat").status_code == 200
    chains.settled(customer, 2)
    own, left = chains.key_account(customer).used_nano, chains.wallet(customer).available_nano
    assert left is not None
    for root in ("", "/v1"):
        page = told(chains, customer, f"{root}/dashboard/billing/subscription")
        spent = told(chains, customer, f"{root}/dashboard/billing/usage")
        assert page["object"] == "billing_subscription"
        assert (page["has_payment_method"], page["access_until"]) == (True, 0)
        assert page["hard_limit_usd"] == page["soft_limit_usd"] == page["system_hard_limit_usd"]
        assert spent == {"object": "list", "total_usage": Decimal(own) / 10**7}
        assert page["hard_limit_usd"] - spent["total_usage"] / 100 == Decimal(left) / NANO_PER_USD
    day = today(chains)
    days = {"start_date": f"{day - timedelta(99)}", "end_date": f"{day + timedelta(1)}"}
    spent = told(chains, customer, "/v1/dashboard/billing/usage", **days)
    assert spent["total_usage"] == Decimal(own) / 10**7
    costs = [item["cost"] for each in spent["daily_costs"] for item in each["line_items"]]
    assert sum(costs) == spent["total_usage"]
    before = {"start_date": "2020-01-01", "end_date": "2020-12-31"}
    assert told(chains, customer, "/v1/dashboard/billing/usage", **before)["total_usage"] == 0


def test_a_key_without_a_limit(chains: Gateway) -> None:
    """Of a team without quotas: what may be spent is null, and to clients of OpenAI the number they know for it."""
    customer = chains.customer(team="red", expires_ms=4_000_000_000_500)
    balance = told(chains, customer, "/v1/balance")
    assert (balance["available_nano"], balance["available_usd"], balance["limited_by"]) == (None, None, None)
    assert balance["key"]["expires_at"] == 4_000_000_000
    page = told(chains, customer, "/v1/dashboard/billing/subscription")
    assert (page["hard_limit_usd"], page["access_until"]) == (100_000_000, 4_000_000_000)


def test_days_are_both_counted(chains: Gateway) -> None:
    """Today alone has what was used today; yesterday, and tomorrow, have nothing."""
    customer = chains.customer()
    assert call(chains, customer, "chat").status_code == 200
    (record,) = chains.settled(customer, 1)
    zone = ZoneInfo(chains.settings.time_zone)
    day = datetime.fromtimestamp(record["time_ms"] / 1000, zone).date()
    counts = {}
    for offset in (-1, 0, 1):
        one = f"{day + timedelta(offset)}"
        usage = told(chains, customer, "/v1/usage", **{"from": one, "until": one})
        assert (usage["from"], usage["until"], usage["time_zone"]) == (one, one, str(zone))
        counts[offset] = usage["total"]["requests"]
    assert counts == {-1: 0, 0: 1, 1: 0}
    assert told(chains, customer, "/v1/usage", **{"from": f"{day}"})["days"][0]["day"] == f"{day}"


WRONG = [
    {"from": "yesterday"},
    {"from": "2026-13-01"},
    {"from": "2026-02-30"},
    {"from": "20261101"},
    {"from": "2026-W01-1"},
    {"from": "0001-01-01"},
    {"until": "9999-12-31"},
    {"until": "2026-11-01T00:00"},
    {"from": "2026-11-02", "until": "2026-11-01"},
    {"until": "\u0662\u0660\u0662\u0666-\u0661\u0661-\u0660\u0661"},
]


@pytest.mark.parametrize("params", WRONG, ids=str)
def test_what_is_no_span_of_days(demo: Gateway, params: dict[str, str]) -> None:
    """400 in OpenAI's shape, which names the parameters and what is wrong with them; on both pages with days."""
    customer = demo.customer()
    renamed = {{"from": "start_date", "until": "end_date"}[name]: value for name, value in params.items()}
    for page, asked in (("/v1/usage", params), ("/v1/dashboard/billing/usage", renamed)):
        answer = ask(demo, customer, page, **asked)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "invalid_request_error")
        assert all(name in error["message"] for name in asked)


@pytest.mark.parametrize("page", PAGES)
def test_who_may_ask(demo: Gateway, page: str) -> None:
    """Nobody without a key, with one that is disabled or may not come from here, or of a suspended owner; at once."""
    elsewhere, suspended = demo.customer(allowed_ips=("203.0.113.0/24",)), demo.customer()
    for path in (page, page):
        assert ask(demo, suspended, path).status_code == 200
    demo.say_of(suspended, status=OwnerStatus.SUSPENDED)
    nobody = Customer("", "sk-" + "0" * 40, "")
    answers = [ask(demo, each, page) for each in (nobody, elsewhere, suspended)]
    assert [answer.status_code for answer in answers] == [401, 403, 403]
    assert [answer.json()["error"].get("reason") for answer in answers] == [None, "ip_not_allowed", "owner_suspended"]
    assert HTTP.get(demo.url + page).status_code == 401


@pytest.mark.parametrize("page", PAGES)
def test_asking_is_free_and_reads_alone(demo: Gateway, page: str) -> None:
    """An empty wallet may be looked at; nothing is held, counted or sent to a vendor; other methods are not there."""
    customer = demo.customer(usd="0", requests_per_minute=1)
    demo.forget_received()
    assert [ask(demo, customer, page).status_code for _ in range(3)] == [200] * 3
    assert [ask(demo, customer, page, method).status_code for method in ("POST", "DELETE", "PUT")] == [404] * 3
    assert demo.received() == []
    assert demo.usage(customer) == []
    assert demo.wallet(customer) == Balance()


def test_the_key_may_stand_in_the_query(demo: Gateway) -> None:
    """As for every other path; it is in no answer."""
    customer = demo.customer()
    answer = HTTP.get(f"{demo.url}/v1/usage?key={customer.key}&from=2026-11-01&until=2026-11-02")
    assert (answer.status_code, answer.json()["from"]) == (200, "2026-11-01")
    assert customer.key not in answer.text
