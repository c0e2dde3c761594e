"""`tollgate audit`, `trace` and the corrections of a wallet, on a gateway that is working meanwhile."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from extproc.core.ledger import Account, AccountKind, bucket_of
from extproc.store import keys
from tests.e2e.harness import HTTP, Customer, Gateway, eventually


def tollgate(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator would."""
    command = [sys.executable, "-m", "extproc", *arguments, "--data", str(gateway.settings.data)]
    environment = {**os.environ, "TOLLGATE_CONFIG": str(gateway.settings.config)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def ask(gateway: Gateway, customer: Customer, script: str = "", **more: Any) -> httpx.Response:
    """One chat call."""
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": f"Hello {script}"}], **more}
    headers = {"authorization": f"Bearer {customer.key}"}
    return HTTP.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)


def test_an_audit_is_clean_while_requests_run(demo: Gateway) -> None:
    """Three owners call without a pause, whole, streamed and refused by the vendor, and no audit finds a difference."""
    customers = [demo.customer(), demo.customer(team="red", member="bob"), demo.customer(month_limit_nano=10**9)]
    seen: list[dict[str, Any]] = []

    def work(number: int) -> int:
        script = '[[sim {"status": 400}]]' if number % 5 == 0 else '[[sim {"first_delay_ms": 200}]]'
        return ask(demo, customers[number % 3], script, stream=number % 2 == 0).status_code

    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(work, number) for number in range(120)]
        while not all(call.done() for call in calls):
            said = tollgate(demo, "audit", "--json")
            assert said.returncode == 0, said.stdout + said.stderr
            seen.append(json.loads(said.stdout))
    assert {call.result() for call in calls} == {200, 400}
    assert all(one["ok"] and not one["differences"] for one in seen)
    assert any(one["live_holds"] for one in seen)

    for customer in customers:
        demo.settled(customer, 40)
    said = tollgate(demo, "audit")
    assert (said.returncode, "Everything adds up." in said.stdout) == (0, True)
    assert seen[-1]["unknown_revisions"] == {}
    assert json.loads(tollgate(demo, "audit", "--json").stdout)["records"] >= 120


def test_an_audit_names_what_is_wrong(demo: Gateway) -> None:
    """One nano too much in a wallet: exit 1, and one line that names the owner, the account and both numbers."""
    customer = demo.customer("1")
    name = keys.account(bucket_of(customer.owner), Account(AccountKind.WALLET, customer.owner))
    demo._redis(lambda redis: redis.execute("HINCRBY", name, "used", 1))
    try:
        said = tollgate(demo, "audit")
        as_json = tollgate(demo, "audit", "--json")
    finally:
        demo._redis(lambda redis: redis.execute("HINCRBY", name, "used", -1))
    assert said.returncode == as_json.returncode == 1
    assert f"{customer.owner}: wallet {customer.owner} used: expected 0, found 1" in said.stdout.splitlines()
    what = f"wallet {customer.owner} used"
    assert json.loads(as_json.stdout)["differences"] == [
        {"owner": customer.owner, "what": what, "expected": 0, "found": 1}
    ]


def test_a_request_is_charged_traced_and_refunded(demo: Gateway) -> None:
    """Live, ended and refunded: `trace` tells all of it, and never more of the key than its prefix."""
    customer = demo.customer("1")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(ask, demo, customer, '[[sim {"first_delay_ms": 3000}]]')
        eventually(lambda: demo.live(customer) == 1, "the hold")
        (live,) = demo._redis(lambda redis: redis.execute("ZRANGE", keys.due(bucket_of(customer.owner)), "0", "-1"))
        shown = tollgate(demo, "trace", live)
        assert shown.returncode == 0
        assert "held" in shown.stdout
        assert "chain" in shown.stdout
        request_id = call.result().headers["x-tollgate-request-id"]
    assert request_id == live
    (record,) = demo.settled(customer, 1)

    said = tollgate(
        demo, "wallet", "refund", customer.owner, "0.002", "--reason", "slow", "--request", request_id, "--json"
    )
    again = tollgate(demo, "wallet", "refund", customer.owner, "0.002", "--reason", "slow", "--request", request_id)
    assert json.loads(said.stdout)["entry"]["kind"] == "refund"
    assert "was used before; nothing was changed" in again.stdout
    assert demo.wallet(customer).limit_nano == 1_002_000_000

    words, found = (
        tollgate(demo, "trace", request_id).stdout,
        json.loads(tollgate(demo, "trace", request_id, "--json").stdout),
    )
    assert (found["state"], found["owner"]) == ("reported", customer.owner)
    assert found["record"]["cost_nano"] == record["charged_nano"]
    assert [refund["reason"] for refund in found["refunds"]] == ["slow"]
    assert "reported reported" in words
    assert "0.002 USD (slow)" in words
    assert customer.key[:10] in words
    assert customer.key[:11] not in words + json.dumps(found) + shown.stdout


def test_an_unknown_request_is_said_to_be_unknown(demo: Gateway) -> None:
    """Exit 1 and one line."""
    said = tollgate(demo, "trace", "nobody")
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("tollgate: there is no request nobody")
    assert len(said.stderr.splitlines()) == 1


def test_a_wallet_is_adjusted_either_way(demo: Gateway) -> None:
    """A plus or a minus, with a reason; no more is taken out than was put in, and the rest is said in one line."""
    customer = demo.customer("1")
    adjust = ("wallet", "adjust", customer.owner)
    less = tollgate(demo, *adjust, "-0.25", "--reason", "x", "--yes", "--json")
    assert json.loads(less.stdout)["entry"]["limit_nano"] == 750_000_000
    assert "0.50 USD for" in tollgate(demo, *adjust, "0.50", "--reason", "x").stdout
    complaints = {
        ("-1.26", "--reason", "x", "--yes"): "1.25 USD were put in in all, and no more can be taken out",
        ("0", "--reason", "x"): "would change nothing",
        ("1", "--reason", " "): "a reason is needed",
        ("lots", "--reason", "x"): "is not an amount in USD",
    }
    for words, complaint in complaints.items():
        said = tollgate(demo, *adjust, *words)
        assert (said.returncode, said.stdout, complaint in said.stderr) == (1, "", True), said
    assert tollgate(demo, *adjust, "1").returncode == 2
    assert demo.wallet(customer).limit_nano == 1_250_000_000
