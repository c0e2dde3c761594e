"""A channel that fails before its answer begins is followed by the next, and nothing of one vendor reaches another."""

import json
from typing import Any

import httpx
import pytest

from tests.e2e.calls import CAP, FORMS, call, headers, price_nano
from tests.e2e.chains import CHANNELS, credential
from tests.e2e.harness import Customer, Gateway
from tests.e2e.odd_vendor import OddVendor

FAILS = ["refuses", "unresolvable", "resets", "hangs-up", "busy", "fails-500", "fails-503"]
REACHED = {"resets": 1, "busy": 1, "fails-500": 1, "fails-503": 1}
"""How often the simulator sees the failing channel; the others never get to it."""


@pytest.mark.parametrize("channel", FAILS)
def test_the_next_channel_answers(chains: Gateway, channel: str) -> None:
    """However a channel fails before its answer begins, the next answers, and two attempts are on record."""
    customer = chains.customer(group=f"{channel}-then-b")
    chains.forget_received()

    answer = call(chains, customer, "chat")

    assert answer.status_code == 200
    assert len(chains.received("b")) == 1
    assert len(chains.received(channel)) == REACHED.get(channel, 0)
    (record,) = chains.settled(customer, records=1)
    assert (record["channel"], record["attempts"], record["state"]) == ("b", 2, "REPORTED")


PAIRS = {
    "chat": ("busy", "b"),
    "chat stream": ("busy", "b"),
    "responses": ("busy", "b"),
    "messages": ("claude-busy", "claude-b"),
    "messages stream": ("claude-busy", "claude-b"),
    "generate": ("gem-busy", "gem-b"),
    "generate stream": ("gem-busy", "gem-b"),
}
PATHS = {
    "busy": "/busy/sim-status%3D429%2Cretry_after%3D7/v1",
    "claude-busy": "/claude-busy/sim-status%3D429",
    "gem-busy": "/gem-busy/sim-status%3D429",
    "b": "/b/v1",
    "claude-b": "/claude-b",
    "gem-b": "/gem-b",
}
BELOW = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "messages": "/v1/messages",
    "generate": "/v1beta/models/{model}:generateContent",
    "generate stream": "/v1beta/models/{model}:streamGenerateContent?alt=sse",
}
CALLERS_OWN = {
    "cookie": "session=of-the-caller",
    "openai-organization": "org-of-the-caller",
    "x-goog-user-project": "project-of-the-caller",
    "x-forwarded-for": "203.0.113.7",
    "x-tollgate-anything": "from-the-caller",
    "x-envoy-max-retries": "9",
}


def _model(channel: str) -> str:
    name: str = next(iter(CHANNELS[channel]["models"].values()))
    return name


def _shown(received: dict[str, Any]) -> str:
    """All that a vendor saw of a request."""
    return json.dumps([received["path"], received["headers"], received["body"]])


@pytest.mark.parametrize("form_name", PAIRS)
def test_each_vendor_gets_its_own_and_nothing_else(chains: Gateway, form_name: str) -> None:
    """Credential, Host, path and model name are those of the channel that is tried; nobody else's show anywhere."""
    form, pair = FORMS[form_name], PAIRS[form_name]
    customer = chains.customer(group="busy-everywhere", fallback_groups=("half",))
    chains.forget_received()

    answer = call(chains, customer, form_name, extra=CALLERS_OWN)

    assert answer.status_code == 200
    received = chains.received()
    assert [entry["vendor"] for entry in received] == list(pair)
    port = chains.settings.demo_port
    below = BELOW.get(form_name) or BELOW[form_name.removesuffix(" stream")]
    for entry, channel, host, other in zip(received, pair, ("127.0.0.1", "localhost"), reversed(pair), strict=True):
        assert entry["path"] == PATHS[channel] + below.replace("{model}", _model(channel))
        assert entry["headers"]["host"] == f"{host}:{port}"
        assert entry["headers"][form.header].removeprefix("Bearer ") == credential(channel)
        assert entry["headers"]["content-length"] == str(entry["body_bytes"])
        expected = json.loads(form.encode("Hello you"))
        if "model" in expected:
            expected["model"] = _model(channel)
        if form_name == "chat stream":
            expected["stream_options"] = {"include_usage": True}
        assert json.loads(entry["body"]) == expected
        seen = _shown(entry)
        strangers = [credential(other), _model(other), f"/{other}/", customer.key, customer.owner, "of-the-caller"]
        strangers += ["from-the-caller", "203.0.113.7", "tollgate", "x-envoy", "x-forwarded-for"]
        assert [word for word in strangers if word.lower() in seen.lower()] == []


def test_the_charge_is_at_the_terms_of_the_group_that_answered(chains: Gateway) -> None:
    """The fallback group's multiplier and name, though the key's own group came first and costs twice as much."""
    script = {"usage": {"input": 41, "cached": 11, "output": 9, "reasoning": 3}}
    customer = chains.customer(group="busy-everywhere", fallback_groups=("half",))
    chains.forget_received()

    call(chains, customer, "chat", script)

    (record,) = chains.settled(customer, records=1)
    (answered,) = chains.received("b")
    exact = price_nano(answered["usage"])
    assert exact % 2 == 0
    assert record["charged_nano"] == exact // 2
    assert (record["group"], record["channel"], record["vendor_model"]) == ("half", "b", "zq")
    assert record["multiplier_ppm"] == 500_000


@pytest.mark.parametrize(("group", "vendors"), [("three-attempts", 3), ("two-attempts", 2), ("one-attempt", 1)])
def test_a_chain_is_walked_once(chains: Gateway, group: str, vendors: int) -> None:
    """As many attempts as channels, each asked once: the last is not asked again."""
    customer = chains.customer(group=group)
    chains.forget_received()
    answer = call(chains, customer, "chat")
    assert answer.status_code == 500
    assert [entry["vendor"] for entry in chains.received()] == [f"fails-chain-{n + 1}" for n in range(vendors)]
    (record,) = chains.settled(customer, records=1)
    assert (record["attempts"], record["charged_nano"]) == (vendors, 0)


@pytest.mark.parametrize("first", ["odd-busy", "odd-limited-busy"])
@pytest.mark.parametrize("megabytes", [5, 20])
def test_large_bodies_fail_over(chains: Gateway, odd_vendor: OddVendor, megabytes: int, first: str) -> None:
    """Each attempt gets the whole body, the same but for the vendor's own name of the model."""
    customer = chains.customer(usd="1000", group=f"{first}-then-odd")
    odd_vendor.bodies.clear()
    form = FORMS["chat"]
    body = form.encode("word " * (megabytes * 200_000))

    answer = httpx.post(chains.url + form.path, headers=headers(form, customer.key), content=body, timeout=60)

    assert answer.status_code == 200
    ((tried,), (second,)) = odd_vendor.bodies["busy"], odd_vendor.bodies["answer"]
    assert tried.replace(_model(first).encode(), b"chat", 1) == second.replace(_model("odd").encode(), b"chat", 1)
    assert json.loads(second) == {**json.loads(body), "model": _model("odd")}
    (record,) = chains.settled(customer, records=1)
    assert (record["channel"], record["attempts"], record["charged_nano"]) == ("odd", 2, 3 * 1000 + 1 * 5000)


def test_weights_spread_over_equals(chains: Gateway) -> None:
    """Of 60 calls over channels of weight 3 and 1 both get some, and the heavier more."""
    customer = chains.customer(group="spread")
    chains.forget_received()
    with httpx.Client(base_url=chains.url, headers=headers(FORMS["chat"], customer.key)) as client:
        for _ in range(60):
            assert client.post(FORMS["chat"].path, content=FORMS["chat"].encode("Hello")).status_code == 200
    counts = {vendor: len(chains.received(vendor)) for vendor in ("a", "c")}
    assert sum(counts.values()) == 60
    assert 0 < counts["c"] < counts["a"]


def test_the_hold_is_for_the_dearest_way(chains: Gateway) -> None:
    """A fallback group at half the price does not halve the hold; on its own it does."""

    def held(customer: Customer) -> int:
        call(chains, customer, "chat")
        (record,) = chains.settled(customer, records=1)
        hold: int = record["hold_nano"]
        return hold

    both = held(chains.customer(fallback_groups=("half",)))
    cheap = held(chains.customer(group="half"))
    asked = len(FORMS["chat"].encode("Hello you"))
    assert both == -(-asked // 3) * 1250 + CAP * 7000
    assert cheap == both // 2
