"""Floods end at Envoy: a bucket for each key, however it is written, whichever way it comes, and for each address."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from extproc import envoy_admin
from extproc.compiler.edge import Limits
from extproc.core.ledger import Balance
from extproc.core.money import parse_usd
from tests.e2e import http3
from tests.e2e.calls import FORMS, call
from tests.e2e.conftest import CONFIG
from tests.e2e.harness import HTTP, Customer, Gateway, gateway
from tests.e2e.rate_service import RateService
from tests.e2e.test_tls import own_certificate, trusting

SERVICE_CONFIG = Path(__file__).parents[2] / "deploy" / "ratelimit" / "config.yaml"
OF_A_KEY, OF_AN_ADDRESS, OF_TASKS, OF_ADMIN = 4, 12, 2, 2
LIMITS = {
    "TOLLGATE_RATE_PER_CREDENTIAL": str(OF_A_KEY),
    "TOLLGATE_RATE_PER_ADDRESS": str(OF_AN_ADDRESS),
    "TOLLGATE_RATE_PER_CREDENTIAL_TASKS": str(OF_TASKS),
    "TOLLGATE_RATE_PER_ADDRESS_ADMIN": str(OF_ADMIN),
    "TOLLGATE_TRUSTED_HOPS": "1",
}
"""A minute's worth each, and a proxy before Envoy, so that every test has an address of its own."""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that bears little."""
    with gateway(CONFIG, tmp_path_factory.mktemp("limited"), workers=1, environment=LIMITS) as running:
        yield running


def models(gateway: Gateway, key: str, address: str, path: str = "/v1/models") -> httpx.Response:
    """A request that costs nothing, from this address."""
    return HTTP.get(gateway.url + path, headers={"authorization": f"Bearer {key}", "x-forwarded-for": address})


def asked_sidecar(gateway: Gateway) -> tuple[int, int]:
    """How many streams Envoy has opened to admit, and how many ends it has reported."""
    admin = gateway.settings.run / "admin.sock"
    streams = envoy_admin.stats(admin, "http.edge.ext_proc.streams_started")
    ends = envoy_admin.stats(admin, "access_logs.grpc_access_log.logs_written")
    assert streams
    assert ends
    return sum(map(int, streams.values())), sum(map(int, ends.values()))


@pytest.mark.parametrize(("form", "code"), [("chat", "code"), ("messages", "code"), ("generate", "reason")])
def test_a_key_above_its_limit_is_told_so_in_its_dialect(limited: Gateway, form: str, code: str) -> None:
    """429 rate_limit_exceeded, how long to wait, what the limit is; the sidecar never hears of it, nothing is held."""
    customer, address = limited.customer(usd="10"), f"10.1.0.{len(form)}"
    path, header = FORMS[form].path, FORMS[form].header
    key = f"Bearer {customer.key}" if header == "authorization" else customer.key
    sent = {header: key, "x-forwarded-for": address}
    allowed = [HTTP.get(limited.url + path, headers=sent) for _ in range(OF_A_KEY)]
    before = asked_sidecar(limited)

    refused = call(limited, customer, form, extra={"x-forwarded-for": address})

    assert min(before) >= OF_A_KEY
    assert 429 not in {answer.status_code for answer in allowed}
    assert refused.status_code == 429
    error = refused.json()["error"]
    told = error["details"][0]["reason"].lower() if code == "reason" else error["code"]
    assert (told, error["message"]) == ("rate_limit_exceeded", "Too many requests. Slow down.")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-limit"] == str(OF_A_KEY)
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["x-tollgate-request-id"]
    assert asked_sidecar(limited) == before
    assert limited.wallet(customer) == Balance(limit_nano=parse_usd("10"))


def test_what_is_left_is_told_beside_the_limits_of_the_key(limited: Gateway) -> None:
    """An answer has Envoy's three headers, and no other's words stand under those names."""
    answer = models(limited, limited.customer().key, "10.2.0.1")
    assert answer.headers["x-ratelimit-limit"] == str(OF_A_KEY)
    assert answer.headers["x-ratelimit-remaining"] == str(OF_A_KEY - 1)
    assert "x-ratelimit-limit-requests" not in answer.headers


def test_the_ways_in_share_one_count(limited: Gateway) -> None:
    """Plain, over TLS and over HTTP/3: a key's requests are counted together."""
    key, address = limited.customer().key, "10.3.0.1"
    headers = {"authorization": f"Bearer {key}", "x-forwarded-for": address}
    tls, certificate = limited.settings.tls_url, own_certificate(limited)
    with httpx.Client(verify=trusting(certificate), http2=True, trust_env=False, headers=headers) as client:
        statuses = [client.get(f"{tls}/v1/models").status_code for _ in range(2)]
    statuses += [models(limited, key, address).status_code]
    port = limited.settings.edge.tls_port
    statuses += [http3.request(port, "/v1/models", certificate, headers, method="GET")[0] for _ in range(2)]
    statuses += [models(limited, key, address).status_code]
    assert statuses == [200] * OF_A_KEY + [429, 429]


def test_invented_keys_meet_the_limit_of_their_address(limited: Gateway) -> None:
    """A new key for every request has a full bucket each time; its address has not. Others are served meanwhile."""
    key = limited.customer().key
    flood = [models(limited, f"sk-{number:040}", "10.4.0.1").status_code for number in range(OF_AN_ADDRESS + 2)]
    assert flood == [401] * OF_AN_ADDRESS + [429, 429]
    assert models(limited, key, "10.4.0.1").status_code == 429
    assert models(limited, key, "10.4.0.2").status_code == 200


def test_a_refused_request_does_not_draw_on_its_address(limited: Gateway) -> None:
    """One key that floods does not shut out the others behind the same address."""
    keys = [limited.customer().key for _ in range(2)]
    flood = [models(limited, keys[0], "10.5.0.1").status_code for _ in range(OF_AN_ADDRESS * 2)]
    assert flood.count(200) == OF_A_KEY
    assert models(limited, keys[1], "10.5.0.1").status_code == 200


def test_tasks_and_administration_are_limited_more_strictly(limited: Gateway) -> None:
    """A key's tasks and an address's administration end before the key's other requests do."""
    key = limited.customer().key
    tasks = [models(limited, key, "10.6.0.1", f"/v1/videos/{number}?a=b").status_code for number in range(OF_TASKS + 1)]
    assert tasks[-1] == 429
    assert 429 not in tasks[:-1]
    assert models(limited, key, "10.6.0.1").status_code == 200
    admin = [models(limited, f"k{number}", "10.6.0.2", "/admin/keys").status_code for number in range(OF_ADMIN + 1)]
    assert admin[-1] == 429
    assert 429 not in admin[:-1]
    assert models(limited, key, "10.6.0.2").status_code == 200


# --- One count for many Envoys ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, RateService]]:
    """A gateway that asks a service; nobody stands before it."""
    service = RateService()
    service.start()
    settings = {"TOLLGATE_RATELIMIT_SERVICE": f"localhost:{service.port}"}
    with gateway(CONFIG, tmp_path_factory.mktemp("counting"), workers=1, environment=settings) as running:
        yield running, service
    service.stop()


SPELLINGS = {
    "Bearer": ({"authorization": "Bearer KEY"}, ""),
    "another case": ({"authorization": "bEARER KEY"}, ""),
    "more blanks": ({"authorization": "Bearer    KEY"}, ""),
    "a no-break space": ({"authorization": "Bearer \u00a0KEY"}, ""),
    "Anthropic's header": ({"x-api-key": "KEY"}, ""),
    "Google's header": ({"x-goog-api-key": "KEY"}, ""),
    "Google's parameter": ({}, "?key=KEY"),
    "among parameters": ({}, "?alt=sse&key=KEY&b"),
    "the last of two": ({}, "?key=sk-nobody&key=KEY"),
    "percent": ({}, "?%6bey=%PERCENT"),
    "another scheme beside it": ({"authorization": "Basic eA==", "x-api-key": "KEY"}, ""),
    "an invented one behind it": ({"authorization": "Bearer KEY", "x-api-key": "sk-invented"}, "?key=sk-invented"),
}


def spelled(customer: Customer, spelling: tuple[dict[str, str], str]) -> tuple[list[tuple[bytes, bytes]], str]:
    """Headers and query with the customer's key in them."""
    headers, query = spelling
    percent = "".join(f"%{ord(letter):02x}" for letter in customer.key)
    raw = [(name.encode(), value.replace("KEY", customer.key).encode()) for name, value in headers.items()]
    return raw, query.replace("%PERCENT", percent).replace("KEY", customer.key)


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_key_has_one_bucket_however_it_is_written(
    counting: tuple[Gateway, RateService], spelling: tuple[dict[str, str], str]
) -> None:
    """Whatever admit takes for this key is counted as this key; neither it nor a part of it leaves for the service."""
    running, service = counting
    customer = running.customer()
    models(running, customer.key, "10.7.0.1")
    plain = service.told[-1]
    headers, query = spelled(customer, spelling)

    answer = HTTP.get(f"{running.url}/v1/models{query}", headers=headers)

    if answer.status_code == 200:
        assert service.told[-1] == plain
    else:
        assert answer.status_code == 401
    assert customer.key[:10] not in str(service.told)


def test_the_service_is_told_whose_request_it_is(counting: tuple[Gateway, RateService]) -> None:
    """What the service's configuration has a limit for is what it is told; an address is not what the caller claims."""
    running, service = counting
    key = running.customer().key
    for path in ("/v1/models", "/v1/videos/1", "/admin/keys"):
        models(running, key, "10.8.0.1", path)
    (domain, plain), (_, task), (_, admin) = service.told[-3:]
    config = yaml.safe_load(SERVICE_CONFIG.read_text())
    counted = {tuple(name for name, _ in descriptor) for descriptor in plain | task | admin}
    configured = {
        (one["key"], *(inner["key"] for inner in one.get("descriptors", ()))) for one in config["descriptors"]
    }
    assert domain == config["domain"]
    assert counted == configured
    assert {descriptor[0] for descriptor in task} >= {("path", "tasks"), ("remote_address", "127.0.0.1")}
    assert {descriptor[0] for descriptor in admin} >= {("path", "admin")}


def test_the_service_has_the_last_word(counting: tuple[Gateway, RateService]) -> None:
    """Over its limit: 429 rate_limit_exceeded with Retry-After, before admit; without the service requests go on."""
    running, service = counting
    customer = running.customer()
    models(running, customer.key, "10.9.0.1")
    (checksum,) = [entry[0][1] for entry in service.told[-1][1] if entry[0][0] == "credential"]
    service.limited.add(checksum)
    before = asked_sidecar(running)

    refused = call(running, customer, "chat")

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) > 0
    assert "x-envoy-ratelimited" not in refused.headers
    assert asked_sidecar(running) == before
    service.stop()
    assert models(running, customer.key, "10.9.0.1").status_code == 200


def test_the_figures_of_the_service_are_those_of_an_envoy() -> None:
    """What one Envoy allows by default is what all together do, until somebody writes other figures."""
    found = yaml.safe_load(SERVICE_CONFIG.read_text())["descriptors"]
    counted = [one for each in found for one in (each, *each.get("descriptors", ())) if "rate_limit" in one]
    figures = [one["rate_limit"]["requests_per_unit"] for one in counted]
    limits = Limits()
    assert figures == [
        limits.rate_per_credential,
        limits.rate_per_address,
        limits.rate_per_credential_tasks,
        limits.rate_per_address_admin,
    ]
