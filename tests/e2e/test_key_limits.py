"""What a key is allowed beside its group, on the real Envoy: where requests may come from, what they may ask for."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.core.ledger import Balance
from extproc.core.money import parse_usd
from tests.e2e.calls import FORMS, call
from tests.e2e.conftest import CONFIG
from tests.e2e.harness import HTTP, Customer, Gateway, gateway
from tests.e2e.sdks import Client, anthropic_client, gemini_client, openai_client
from tests.e2e.test_model_lists import listed as models_listed

HERE, ELSEWHERE = "127.0.0.0/8", "203.0.113.0/24"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with one proxy before it that writes x-forwarded-for, listening for IPv4 and IPv6 alike."""
    hops = {"TOLLGATE_TRUSTED_HOPS": "1"}
    with gateway(CONFIG, tmp_path_factory.mktemp("behind"), workers=1, environment=hops) as running:
        yield running


def listed(gateway: Gateway, customer: Customer, headers: list[tuple[str, str]]) -> httpx.Response:
    """The model list, asked for with these headers too."""
    return HTTP.get(f"{gateway.url}/v1/models", headers=[("authorization", f"Bearer {customer.key}"), *headers])


CLAIMS = {
    "nothing": [],
    "x-forwarded-for": [("x-forwarded-for", "203.0.113.7")],
    "twice": [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "203.0.113.7")],
    "many": [("x-forwarded-for", "203.0.113.7, 203.0.113.7,203.0.113.7")],
    "x-real-ip": [("x-real-ip", "203.0.113.7")],
    "forwarded": [("forwarded", "for=203.0.113.7;proto=https")],
    "x-client-ip": [("x-client-ip", "203.0.113.7"), ("true-client-ip", "203.0.113.7")],
    "Envoy's own": [("x-envoy-external-address", "203.0.113.7"), ("x-envoy-internal", "true")],
    "ours": [("x-tollgate-address", "203.0.113.7"), ("source.address", "203.0.113.7:1")],
}


@pytest.mark.parametrize("claimed", CLAIMS.values(), ids=CLAIMS)
def test_no_header_makes_an_address(demo: Gateway, claimed: list[tuple[str, str]]) -> None:
    """With nobody trusted before Envoy the connection's address counts, whatever a caller writes."""
    outside, inside = demo.customer(allowed_ips=(ELSEWHERE,)), demo.customer(allowed_ips=("::1", HERE))
    refused = listed(demo, outside, claimed)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (403, "ip_not_allowed")
    assert listed(demo, inside, claimed).status_code == 200


BEHIND = {
    "from there": (["203.0.113.7"], True),
    "in another guise": (["::ffff:203.0.113.7"], True),
    "of IPv6": (["2001:db8::7"], True),
    "behind another proxy": (["198.51.100.1, 203.0.113.7"], True),
    "of two headers the last": (["198.51.100.1", "203.0.113.7"], True),
    "not from there": (["198.51.100.1"], False),
    "a forged one before the proxy's": (["203.0.113.7, 198.51.100.1"], False),
    "a forged header before the proxy's": (["203.0.113.7", "198.51.100.1"], False),
    "no address": (["nonsense"], False),
    "past the proxy": ([], False),
}


@pytest.mark.parametrize(("said", "allowed"), BEHIND.values(), ids=BEHIND)
def test_behind_a_proxy_its_word_counts(behind: Gateway, said: list[str], allowed: bool) -> None:
    """With one trusted hop: the address that the proxy wrote, the last one. Where it wrote none, the proxy's own."""
    customer = behind.customer(allowed_ips=(ELSEWHERE, "2001:db8::/32"))
    answer = listed(behind, customer, [("x-forwarded-for", each) for each in said])
    assert answer.status_code == (200 if allowed else 403)


def test_the_proxy_itself_may_be_allowed(behind: Gateway) -> None:
    """Who comes past the proxy has the address of the connection."""
    customer = behind.customer(allowed_ips=(HERE,))
    assert listed(behind, customer, []).status_code == 200
    assert listed(behind, customer, [("x-forwarded-for", "203.0.113.7")]).status_code == 403


def test_callers_by_ipv6(tmp_path: Path) -> None:
    """A connection by IPv6 has that address."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with gateway(CONFIG, tmp_path, workers=1, environment={"TOLLGATE_LISTEN": "::1"}) as running:
        statuses = []
        for networks in (["::1"], [HERE], ["::/64"], ["2001:db8::/32"]):
            headers = {"authorization": f"Bearer {running.customer(allowed_ips=tuple(networks)).key}"}
            url = f"http://[::1]:{running.settings.edge.port}/v1/models"
            statuses.append(HTTP.get(url, headers=headers).status_code)
        assert statuses == [200, 403, 200, 403]


PATHS = {
    "a model list": ("GET", "/v1/models"),
    "Anthropic's": ("GET", "/claude/v1/models"),
    "a task": ("GET", "/v1/videos/video_1"),
    "nothing": ("GET", "/v1/nothing"),
}


@pytest.mark.parametrize(("method", "path"), PATHS.values(), ids=PATHS)
def test_no_path_is_open_from_elsewhere(demo: Gateway, method: str, path: str) -> None:
    """403 in the caller's dialect with the code and the reason, wherever the request goes."""
    customer = demo.customer(allowed_ips=(ELSEWHERE,))
    answer = HTTP.request(method, demo.url + path, headers={"authorization": f"Bearer {customer.key}"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["reason"]) == (403, "permission_denied", "ip_not_allowed")


@pytest.mark.parametrize("form", FORMS)
def test_a_call_from_elsewhere_is_refused_and_free(demo: Gateway, form: str) -> None:
    """403 in the caller's dialect before the body is read; no vendor hears of it, nothing is held or charged."""
    customer = demo.customer(usd="10", allowed_ips=(ELSEWHERE,))
    demo.forget_received()
    refused = call(demo, customer, form)
    assert refused.status_code == 403
    assert "ip_not_allowed" in refused.text
    assert demo.received() == []
    assert demo.usage(customer) == []
    assert demo.wallet(customer) == Balance(limit_nano=parse_usd("10"))


# --- Models -----------------------------------------------------------------------------------------------------------

ALLOWED = ("gpt-5-nano", "claude-haiku*", "gemini-2.5-flash*")
SHOWN = [
    (openai_client, ["fast", "gpt-5-nano"]),
    (anthropic_client, ["claude-haiku-4-5"]),
    (gemini_client, ["gemini-2.5-flash", "gemini-2.5-flash-image", "gemini-2.5-flash-lite"]),
]


@pytest.mark.parametrize(("client", "models"), SHOWN)
def test_each_sdk_lists_the_allowed_models(demo: Gateway, client: Client, models: list[str]) -> None:
    """Those of the key's list, a family's and aliases too; of one that is not on it the directory does not know."""
    customer = demo.customer(allowed_models=ALLOWED)
    assert models_listed(client(demo.url, customer.key)) == models


def test_an_alias_alone(demo: Gateway) -> None:
    """A list may name an alias: then the model by its own name is not there."""
    assert models_listed(openai_client(demo.url, demo.customer(allowed_models=("fast",)).key)) == ["fast"]


def ask(gateway: Gateway, customer: Customer, path: str, model: str) -> httpx.Response:
    """A small request for this model, whose name stands in the path or in the body."""
    said = [{"role": "user", "content": "Hello"}]
    body: dict[str, Any] = {"model": model, "max_tokens": 5}
    body = {"contents": [{"parts": [{"text": "Hello"}]}]} if "{model}" in path else body
    body |= {"input": "Hello"} if "embed" in path or "responses" in path else {"messages": said}
    headers = {"authorization": f"Bearer {customer.key}"}
    return HTTP.post(gateway.url + path.replace("{model}", model), headers=headers, json=body)


GENERATE = "/v1beta/models/{model}:generateContent"
CALLS = [
    ("/v1/chat/completions", "gpt-5-nano", True),
    ("/v1/chat/completions", "fast", True),
    ("/v1/chat/completions", "gpt-5", False),
    ("/v1/responses", "gpt-5-mini", False),
    ("/v1/embeddings", "text-embedding-3-small", False),
    ("/v1/messages", "claude-haiku-4-5", True),
    ("/claude/v1/messages", "claude-opus-4-5", False),
    ("/v1/messages/count_tokens", "claude-opus-4-5", False),
    (GENERATE, "gemini-2.5-flash-lite", True),
    (GENERATE, "gemini-2.5-pro", False),
    (GENERATE, "gemini-2.5-%70ro", False),
    ("/gemini/v1beta/models/{model}:streamGenerateContent?alt=sse", "gemini-2.5-pro", False),
    ("/v1beta/models/{model}:embedContent", "gemini-embedding-001", False),
    ("/v1beta/models/{model}:countTokens", "gemini-2.5-pro", False),
]


@pytest.mark.parametrize(("path", "model", "allowed"), CALLS)
def test_what_is_not_allowed_is_not_there(demo: Gateway, path: str, model: str, allowed: bool) -> None:
    """404 `model_not_found` in the words for a model of another group; no vendor is asked, nothing is held."""
    customer, stranger = demo.customer(allowed_models=ALLOWED), demo.customer(allowed_models=("none",))
    demo.forget_received()
    answer = ask(demo, customer, path, model)
    if allowed:
        assert answer.status_code == 200
        assert len(demo.settled(customer, 1)) == 1
        return
    assert answer.status_code == 404
    assert "model_not_found" in answer.text.lower()
    told = [ask(demo, each, path, model).text.replace(each.key, "") for each in (customer, stranger)]
    assert len({without_id(text) for text in told}) == 1
    assert demo.received() == []
    assert demo.wallet(customer).held_nano == demo.wallet(customer).used_nano == 0


def without_id(text: str) -> str:
    """An error without the id of its request."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", text)


def test_another_groups_model_is_told_of_alike(demo: Gateway) -> None:
    """Not on the key's list, not in its group, or nowhere: nobody can tell which."""
    coder, limited = demo.customer(group="claude-code"), demo.customer(allowed_models=ALLOWED)
    told = [without_id(ask(demo, each, "/v1/chat/completions", "gpt-5").text) for each in (coder, limited)]
    assert told[0] == told[1]
