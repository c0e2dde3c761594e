"""Every side of a key's context may refuse, and says which it was; through Envoy, before any vendor is asked."""

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from extproc.core.ledger import Account, AccountKind, Balance
from extproc.store.redis_ledger import RedisLedger
from tests.e2e.harness import HTTP, Customer, Gateway, eventually

MODEL = "gpt-5-mini"


def ask(gateway: Gateway, customer: Customer, prompt: str = "Hello", **more: Any) -> httpx.Response:
    """One chat call, capped at 1,000 tokens, so that it may cost about 0.002 USD."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1000, **more}
    return HTTP.post(
        f"{gateway.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {customer.key}"}
    )


TEAM: dict[str, Any] = {"team": "red", "member": "bob"}


@pytest.mark.parametrize(
    ("terms", "limits", "reason"),
    [
        ({"cap_nano": 1_000_000}, {}, "api_key_quota_exceeded"),
        ({"month_limit_nano": 1_000_000}, {}, "api_key_quota_exceeded"),
        (TEAM, {AccountKind.MEMBER: 1_000_000}, "member_quota_exceeded"),
        (TEAM, {AccountKind.TEAM: 1_000_000}, "team_quota_exceeded"),
        ({"usd": "0.001"}, {}, "billing_shortfall"),
    ],
    ids=["key", "month", "member", "team", "wallet"],
)
def test_a_side_that_is_short_refuses_and_is_named(
    demo: Gateway, terms: dict[str, Any], limits: dict[AccountKind, int], reason: str
) -> None:
    """402 `insufficient_quota` with the side as its reason; nothing is held, and no vendor is asked."""
    customer = demo.customer(**terms)
    for kind, nano in limits.items():
        name = f"{customer.owner}/red" + ("/bob" if kind is AccountKind.MEMBER else "")
        demo.on_ledger(limiting(customer, Account(kind, name), nano))
    before = len(demo.received())

    answer = ask(demo, customer)

    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_quota")
    assert answer.json()["error"]["reason"] == reason
    assert "retry-after" not in answer.headers
    assert demo.wallet(customer).held_nano == 0
    assert len(demo.received()) == before


def limiting(customer: Customer, account: Account, nano: int) -> Callable[[RedisLedger], Awaitable[None]]:
    """What sets a quota."""
    return lambda ledger: ledger.set_limit(customer.owner, account, nano)


def used(customer: Customer, account: Account) -> Callable[[RedisLedger], Awaitable[Balance]]:
    """What reads the sums of an account."""
    return lambda ledger: ledger.balance(customer.owner, account)


def test_a_charge_reaches_every_account_of_the_context(demo: Gateway) -> None:
    """Key, month, member, team and wallet all show the same sum as used."""
    customer = demo.customer(**TEAM)
    assert ask(demo, customer).status_code == 200
    (record,) = demo.settled(customer, 1)
    owner, month = customer.owner, record["accounts"][1]["name"]
    accounts = [
        Account(AccountKind.KEY, customer.key_id),
        Account(AccountKind.KEY_MONTH, month),
        Account(AccountKind.MEMBER, f"{owner}/red/bob"),
        Account(AccountKind.TEAM, f"{owner}/red"),
        Account(AccountKind.WALLET, owner),
    ]
    sums = [demo.on_ledger(used(customer, account)).used_nano for account in accounts]
    assert sums == [record["charged_nano"]] * 5


def test_so_many_requests_of_a_key_are_under_way_at_once(demo: Gateway) -> None:
    """One more is 429 with Retry-After; as soon as one has ended there is room again."""
    customer = demo.customer(max_live=2)
    slow = '[[sim {"first_delay_ms": 3000}]]'
    waiting = [threading.Thread(target=ask, args=(demo, customer, slow)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    one = demo.wallet(customer)
    eventually(lambda: demo.live(customer) == 2, "two requests under way")

    refused = ask(demo, customer)

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["reason"] == "concurrency_limit_reached"
    for thread in waiting:
        thread.join()
    eventually(lambda: demo.live(customer) == 0, "both ends")
    assert ask(demo, customer).status_code == 200
    assert one.used_nano == 0
