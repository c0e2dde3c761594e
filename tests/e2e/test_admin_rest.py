"""The admin API as Envoy shows it: REST and gRPC on one port, one shape of errors, and who is believed to be who."""

import json
import re
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import httpx
import pytest

from extproc.core.people import Scope
from extproc.names import JWT_PAYLOAD_HEADER
from tests.e2e.admin import Issuer, bearer, make_token, native, rest
from tests.e2e.conftest import CONFIG
from tests.e2e.harness import HTTP, Customer, Gateway, eventually, gateway
from tests.e2e.test_bad_input import TRACES
from tests.e2e.test_tls import own_certificate, trusting

MEBIBYTE = 1024 * 1024
PRICE_NANO = 250 + 5 * 2000
"""Of one request for a model."""

LOGGED = {"TOLLGATE_ACCESS_LOG": "json"}
MUCH = {"TOLLGATE_RATE_PER_ADDRESS_ADMIN": "4000000000"}


@pytest.fixture(scope="module")
def administered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with an admin API for this machine alone, which tells of each request."""
    folder = tmp_path_factory.mktemp("administered")
    with gateway(CONFIG, folder, workers=1, environment={**LOGGED, **MUCH}, admin=True) as running:
        yield running


@pytest.fixture(scope="module")
def operator(administered: Gateway) -> str:
    """The token of somebody who may do everything."""
    return make_token(administered, Scope.OPERATOR)


@pytest.fixture(scope="module")
def api(administered: Gateway, operator: str) -> Iterator[httpx.Client]:
    """The API as that operator sees it."""
    with rest(administered, operator) as client:
        assert client.post("/keys", json={"owner": "x"}).status_code == 200
        yield client


@pytest.fixture(scope="module")
def spender(administered: Gateway) -> Customer:
    """Somebody with three requests."""
    customer = administered.customer()
    assert [chat(administered, customer) for _ in range(3)] == [200] * 3
    administered.settled(customer, 3)
    return customer


def new_owner() -> str:
    """A name that nobody has."""
    return f"owner-{secrets.token_hex(6)}"


def chat(gateway: Gateway, customer: Customer) -> int:
    """The status of a request for a model."""
    question = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
    return HTTP.post(f"{gateway.url}/v1/chat/completions", headers=bearer(customer.key), json=question).status_code


# --- Verbs ------------------------------------------------------------------------------------------------------------


def test_an_owner_from_the_first_dollar_to_the_last_key(administered: Gateway, api: httpx.Client) -> None:
    """What is changed over REST holds from the next request on; 64 bits are strings, and nothing is left out."""
    owner = new_owner()
    made = api.post("/keys", json={"owner": owner, "name": "first"}).json()
    customer = Customer(owner, made["plaintext"], made["key"]["key_id"])
    assert chat(administered, customer) == 402
    entry = {"kind": "top_up", "amount_nano": "5000000000", "reference": "payment-1"}
    made = api.post(f"/owners/{owner}/wallet/entries", json=entry).json()
    assert (made["entry"]["limit_nano"], made["repeated"]) == ("5000000000", False)
    assert api.post(f"/owners/{owner}/wallet/entries", json=entry).json()["repeated"] is True
    assert api.get(f"/owners/{owner}/wallet").json()["available_nano"] == "5000000000"

    assert chat(administered, customer) == 200
    path = f"/keys/{customer.key_id}"
    anew = replace(customer, key=api.post(f"{path}:rotate", json={}).json()["plaintext"])
    assert [chat(administered, each) for each in (customer, anew)] == [401, 200]
    assert api.patch(path, json={"status": "disabled"}).json()["status"] == "disabled"
    assert chat(administered, anew) == 401
    assert api.delete(path).json()["status"] == "deleted"
    assert api.get("/keys", params={"owner": owner}).json() == {"keys": [], "next_cursor": ""}


def test_a_name_with_a_slash_is_one_name(api: httpx.Client) -> None:
    """`%2F` in a path belongs to a name, and a blank in a query is one, however it is written."""
    owner = f"a/b {secrets.token_hex(4)}"
    quoted = owner.replace("/", "%2F").replace(" ", "%20")
    assert api.patch(f"/owners/{quoted}", json={"status": "suspended"}).json()["owner"] == owner
    assert api.get(f"/owners/{quoted}").json()["status"] == "suspended"
    assert api.get(f"/requests?filter.owner={owner.replace('/', '%2F').replace(' ', '+')}").status_code == 200


def test_the_same_over_grpc(administered: Gateway, operator: str) -> None:
    """gRPC passes by the transcoder as it is, its statuses too, and Envoy's own refusals have one as well."""
    assert native(administered, "WhoAmI", operator).scopes == ["operator"]
    owner = new_owner()
    assert native(administered, "EditOwner", operator, owner=owner, status="suspended").status == "suspended"
    refused = {
        ("WhoAmI", ""): grpc.StatusCode.UNAUTHENTICATED,
        ("GetKey", operator): grpc.StatusCode.NOT_FOUND,
        ("MakeEntry", make_token(administered, Scope.READ)): grpc.StatusCode.PERMISSION_DENIED,
    }
    for (verb, token), status in refused.items():
        with pytest.raises(grpc.RpcError) as told:
            native(administered, verb, token)
        assert told.value.code() is status
    with pytest.raises(grpc.RpcError, match="larger than 1 MiB"):
        native(administered, "EditOwner", operator, owner=owner, tier="x" * MEBIBYTE)


def test_the_process_says_that_it_is_well_to_anybody_over_grpc(administered: Gateway, api: httpx.Client) -> None:
    """The health service is there beside it, and nothing else that a gRPC server may have."""
    address = administered.settings.admin_url.removeprefix("http://")
    with grpc.insecure_channel(address) as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)(b"", timeout=5) == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as told:
            channel.unary_unary("/grpc.reflection.v1.ServerReflection/Info", bytes, bytes)(b"", timeout=5)
    assert told.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert api.post("/../../grpc.health.v1.Health/Check").status_code == 404


# --- Streams ----------------------------------------------------------------------------------------------------------


def test_who_follows_sees_requests_as_they_end(administered: Gateway, api: httpx.Client, operator: str) -> None:
    """One JSON object a line over REST, a message each over gRPC, the first before there is a second."""
    customer = administered.customer()
    with api.stream("GET", "/requests:follow", params={"filter.owner": customer.owner}) as stream:
        native_stream = native(administered, "FollowRequests", operator, filter={"owner": customer.owner})
        lines = stream.iter_lines()
        for _ in range(2):
            assert chat(administered, customer) == 200
            line = json.loads(next(lines))
            assert (line["owner"], line["status"], line["cost_nano"]) == (customer.owner, 200, str(PRICE_NANO))
            assert next(native_stream).request_id == line["request_id"]
        native_stream.cancel()


@pytest.mark.parametrize(
    ("kind", "content_type", "begins"),
    [
        ("csv", "text/csv", b"request_id,"),
        ("jsonl", "application/x-ndjson", b'{"request_id":'),
        ("parquet", "", b"PAR1"),
    ],
)
def test_an_export_is_a_file(
    administered: Gateway, api: httpx.Client, spender: Customer, kind: str, content_type: str, begins: bytes
) -> None:
    """As it is, not as JSON; and the trailer says that it came to its end."""
    owner = {"filter.owner": spender.owner}
    answer = api.get("/requests:export", params={"format": kind, **owner})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(content_type)
    assert answer.content.startswith(begins)
    sums = api.get("/usage", params={"by": "model", **owner}).json()["all"]
    assert (sums["requests"], sums["cost_nano"]) == ("3", str(3 * PRICE_NANO))
    if kind != "parquet":
        assert sum(spender.owner in line for line in answer.text.splitlines()) == 3
    raw = raw_answer(administered, api, f"/admin/v1/requests:export?format={kind}&filter.owner={spender.owner}")
    assert raw.rstrip().endswith((b"grpc-status: 0", b"grpc-message:"))


def test_an_export_that_cannot_be_is_an_error(api: httpx.Client) -> None:
    """In the one shape, before anything of the file is there."""
    answer = api.get("/requests:export", params={"format": "xlsx"})
    assert answer.status_code == 400
    is_error(answer, 3)


def test_a_page_may_be_larger_than_what_envoy_holds_by_default(
    administered: Gateway, api: httpx.Client, operator: str
) -> None:
    """More than 1 MiB of JSON is one answer, over both."""
    networks = [f"10.{high}.{low}.0/24" for high in range(100) for low in range(1)]
    owner = new_owner()
    models = [f"{'m' * 180}-{index}" for index in range(100)]
    for _ in range(60):
        assert api.post("/keys", json={"owner": owner, "allowed_models": models, "allowed_ips": networks}).is_success
    answer = api.get("/keys", params={"owner": owner, "page_size": 1000})
    assert len(answer.content) > MEBIBYTE
    assert len(answer.json()["keys"]) == 60
    assert len(native(administered, "ListKeys", operator, owner=owner, page_size=1000).keys) == 60


def raw_answer(administered: Gateway, api: httpx.Client, path: str) -> bytes:
    """An answer over HTTP/1.1 as it is on the wire, with its trailers."""
    edge = administered.settings.edge
    request = (
        f"GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: {api.headers['authorization']}\r\nconnection: close\r\n\r\n"
    )
    with socket.create_connection((edge.admin_listen, edge.admin_port), timeout=20) as wire:
        wire.sendall(request.encode())
        return b"".join(iter(lambda: wire.recv(65536), b""))


# --- Errors -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refused:
    """A request and what is said to it: status, the code of gRPC, some of the words."""

    method: str
    path: str
    status: int
    code: int
    words: str
    body: Any = None
    token: str = "operator"
    headers: dict[str, str] = field(default_factory=dict)


ERRORS = {
    "a body that is no JSON": Refused("PATCH", "/owners/x", 400, 3, "Expected", b'{"tier": '),
    "a list for a body": Refused("PATCH", "/owners/x", 400, 3, "must be a message", b"[1]"),
    "a word for a number": Refused("PATCH", "/owners/x", 400, 3, "discount_ppm.*TYPE_INT64", {"discount_ppm": "12x"}),
    "a broken number": Refused("PATCH", "/owners/x", 400, 3, "discount_ppm", {"discount_ppm": 1.5}),
    "more than 64 bits": Refused("PATCH", "/owners/x", 400, 3, "discount_ppm", {"discount_ppm": str(2**63)}),
    "another owner in the body": Refused("PATCH", "/owners/x", 400, 3, 'conflicting.*"y"', {"owner": "y"}),
    "a parameter nobody knows": Refused("GET", "/owners?limit=3", 400, 3, 'find field "limit"'),
    "a parameter of another kind": Refused("GET", "/owners?page_size=many", 400, 3, "page_size.*TYPE_INT32"),
    "a page too large": Refused("GET", "/owners?page_size=1001", 400, 3, "page_size.*1000"),
    "money below nothing": Refused(
        "POST",
        "/owners/x/wallet/entries",
        400,
        3,
        "amount_nano",
        {"kind": "top_up", "amount_nano": -1, "reference": "r"},
    ),
    "no token": Refused("GET", "/whoami", 401, 16, "no admin token was given", token=""),
    "a token nobody made": Refused("GET", "/whoami", 401, 16, "not valid", token="tga-nobody"),
    "a key of the gateway": Refused("GET", "/whoami", 401, 16, "no admin token", token="sk-key"),
    "a JWT where nobody makes them": Refused("GET", "/whoami", 401, 16, "no admin token", token="e30.e30.e30"),
    "a change by who may only see": Refused("PATCH", "/owners/x", 403, 7, "", {"tier": ""}, token="read"),
    "a key that is not there": Refused("GET", "/keys/key_none", 404, 5, "key_none"),
    "a path that is not there": Refused("GET", "/nothing", 404, 5, "nothing at this path"),
    "a verb by another method": Refused("POST", "/whoami", 404, 5, "not for this method", {}),
    "a revision that was": Refused("PATCH", "/owners/x", 409, 10, "revision", {"status": "active", "revision": 77}),
    "a body too large": Refused("PATCH", "/owners/x", 413, 8, "1 MiB", {"tier": "x" * MEBIBYTE}),
    "headers too large": Refused("GET", "/whoami", 431, 8, "headers", headers={"x-much": "x" * 40_000}),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_one_shape(administered: Gateway, api: httpx.Client, operator: str, name: str) -> None:
    """`code`, `message` and `details`, whoever finds it; with the id of the request, and no word of what is inside."""
    wanted = ERRORS[name]
    tokens = {"operator": operator, "read": make_token(administered, Scope.READ)}
    body = wanted.body if wanted.body is None or isinstance(wanted.body, bytes) else json.dumps(wanted.body)
    headers = {**wanted.headers, "authorization": f"Bearer {tokens.get(wanted.token, wanted.token)}"}
    if not wanted.token:
        del headers["authorization"]

    answer = HTTP.request(
        wanted.method, f"{api.base_url}{wanted.path}".replace("v1//", "v1/"), content=body, headers=headers
    )

    assert answer.status_code == wanted.status, answer.text
    is_error(answer, wanted.code)
    assert re.search(wanted.words, answer.json()["message"])


def is_error(answer: httpx.Response, code: int) -> None:
    """It has the one shape."""
    told = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert told.keys() == {"code", "message", "details"}
    assert (told["code"], told["details"]) == (code, [])
    if answer.status_code != 431:  # the request could not be read
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-tollgate-request-id"])
    assert answer.headers["server"] == "tollgate"
    assert [word for word in TRACES if word in told["message"]] == []


def test_a_body_that_does_not_say_how_large_it_is_has_the_same_limit(api: httpx.Client) -> None:
    """413 when it has become too large."""
    parts = (b" " * 65536 for _ in range(17))
    answer = api.patch("/owners/x", content=parts)
    assert answer.status_code == 413
    is_error(answer, 8)


def test_a_caller_cannot_choose_what_is_ours(api: httpx.Client) -> None:
    """Neither the id of the request, nor who one is, nor Envoy's own patience."""
    forged = {"x-request-id": "mine", JWT_PAYLOAD_HEADER: "eyJzdWIiOiJhbm4ifQ", "x-envoy-upstream-rq-timeout-ms": "1"}
    answer = api.get("/whoami", headers=forged)
    assert answer.status_code == 200
    assert answer.json()["name"].startswith("token:")
    assert answer.headers["x-tollgate-request-id"] != "mine"
    anonymous = HTTP.get(f"{api.base_url}whoami", headers=forged)
    assert anonymous.status_code == 401


ODD = {
    "a name that gRPC has no letters for": [(b"it's#odd", b"1")],
    "a value that gRPC has no letters for": [(b"x-odd", b"\xc3\xa4\xff")],
    "a binary header that is no base64": [(b"x-odd-bin", b"@")],
    "words of gRPC's own": [(b"grpc-timeout", b"1n"), (b"grpc-encoding", b"nothing"), (b"te", b"x")],
    "cookies": [(b"cookie", b"\xff"), (b"cookie", b"b")],
    "a host of all kinds": [(b"host", b"\xe4_!$")],
}


@pytest.mark.parametrize("name", ODD)
def test_what_http_allows_and_grpc_does_not_is_no_error(api: httpx.Client, name: str) -> None:
    """Of the headers the service is told what it has to know, and nothing else."""
    answer = api.get("/whoami", headers=ODD[name])
    assert answer.status_code in ((400, 404) if "host" in name else (200,)), answer.text


def test_a_token_of_odd_letters_is_no_token(api: httpx.Client) -> None:
    """401, as any other that nobody made."""
    answer = HTTP.get(f"{api.base_url}whoami", headers=[(b"authorization", b"Bearer tga-\xff")])
    assert answer.status_code == 401
    is_error(answer, 16)


def test_the_edge_knows_nothing_of_it(administered: Gateway, operator: str) -> None:
    """Callers of models do not reach it, whatever they say."""
    for path in ("/admin/v1/whoami", "/tollgate.admin.v1.Admin/WhoAmI"):
        assert HTTP.get(administered.url + path, headers=bearer(operator)).status_code in (401, 404)


def test_without_its_process_it_says_so_and_comes_back(administered: Gateway, api: httpx.Client) -> None:
    """503 in the same shape, with when to try again; requests for models go on, and soon all is as it was."""
    customer = administered.customer()
    (before,) = administered.pids("extproc.admin_app")
    eventually(lambda: gone(administered, api), "an answer without the process")
    assert chat(administered, customer) == 200
    eventually(lambda: api.get("/whoami").status_code == 200, "the process")
    assert administered.pids("extproc.admin_app") != [before]


def gone(administered: Gateway, api: httpx.Client) -> bool:
    """Whether its process was found to be away when it was killed just now."""
    administered.kill("extproc.admin_app")
    answer = api.get("/whoami")
    if answer.status_code == 200:
        return False
    assert answer.status_code == 503
    is_error(answer, 14)
    assert answer.headers["retry-after"] == "2"
    return True


def test_the_log_tells_which_verb_and_nothing_secret(administered: Gateway, api: httpx.Client, operator: str) -> None:
    """One line for each request, without its path, its query, or who asks."""
    api.get("/owners", params={"cursor": "not-for-the-log"})
    api.get("/tga-not-for-the-log")
    log = administered.settings.logs / "envoy.log"
    wanted = '"verb":"/tollgate.admin.v1.Admin/ListOwners"'
    eventually(lambda: wanted in log.read_text(), "the line")
    text = administered.logs()
    assert "not-for-the-log" not in text
    assert operator not in text
    line = next(json.loads(each) for each in log.read_text().splitlines() if wanted in each)
    assert (line["method"], line["address"]) == ("GET", "127.0.0.1")


# --- JWTs, over TLS ---------------------------------------------------------------------------------------------------

ISSUER, STRANGER = Issuer("https://id.test"), Issuer("https://id.test")
FEW = 20


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose admin API is for others than this machine too, takes JWTs, and bears little."""
    folder = tmp_path_factory.mktemp("public")
    (folder / "jwks.json").write_text(ISSUER.jwks())
    environment = {
        "TOLLGATE_ADMIN_LISTEN": "0.0.0.0",
        "TOLLGATE_ADMIN_JWT_ISSUER": ISSUER.name,
        "TOLLGATE_ADMIN_JWT_AUDIENCE": "tollgate",
        "TOLLGATE_ADMIN_JWKS_FILE": str(folder / "jwks.json"),
        "TOLLGATE_RATE_PER_ADDRESS_ADMIN": str(FEW),
        "TOLLGATE_TRUSTED_HOPS": "1",
    }
    with gateway(CONFIG, folder / "data", workers=1, environment={**LOGGED, **environment}, admin=True) as running:
        yield running


@pytest.fixture
def people(public: Gateway) -> Iterator[httpx.Client]:
    """The API over TLS, from an address of its own."""
    url = f"https://127.0.0.1:{public.settings.edge.admin_port}/admin/v1"
    address = {"x-forwarded-for": f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.1"}
    with httpx.Client(
        base_url=url, headers=address, verify=trusting(own_certificate(public)), trust_env=False, timeout=20
    ) as client:
        eventually(lambda: client.get("/openapi.json").status_code == 200, "the admin service")
        yield client


def claims(**said: Any) -> dict[str, Any]:
    """Those of ann's JWT, but for what is said."""
    now = int(time.time())
    whole = {"iss": ISSUER.name, "aud": "tollgate", "sub": "ann", "iat": now, "exp": now + 86_400, **said}
    return {name: value for name, value in whole.items() if value is not None}


PAST = int(time.time()) - 3600
JWTS = {
    "good": (ISSUER.jwt(claims()), 200),
    "for several": (ISSUER.jwt(claims(aud=["another", "tollgate"])), 200),
    "expired": (ISSUER.jwt(claims(exp=PAST)), 401),
    "for ever": (ISSUER.jwt(claims(exp=None)), 401),
    "not yet": (ISSUER.jwt(claims(nbf=PAST + 86_400)), 401),
    "of another issuer": (ISSUER.jwt(claims(iss="https://other.test")), 401),
    "for somebody else": (ISSUER.jwt(claims(aud="another")), 401),
    "for nobody": (ISSUER.jwt(claims(aud=None)), 401),
    "signed by a stranger": (STRANGER.jwt(claims()), 401),
    "not signed": (ISSUER.jwt(claims(), algorithm="none"), 401),
    "signed by its own key as a secret": (ISSUER.jwt(claims(), algorithm="HS256"), 401),
    "without a subject": (ISSUER.jwt(claims(sub=None)), 401),
    "no JWT": ("e30.e30", 401),
}


@pytest.mark.parametrize("name", JWTS)
def test_a_jwt_is_believed_if_all_of_it_is_right(people: httpx.Client, name: str) -> None:
    """Issuer, audience, time and signature; else 401 in the one shape, though Envoy's own answer may be a 403."""
    jwt, status = JWTS[name]
    answer = people.get("/whoami", headers=bearer(jwt))
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json() == {"name": "jwt:ann", "scopes": ["person"], "person": "ann"}
    else:
        is_error(answer, 16)


def test_who_one_is_cannot_be_said_but_by_a_jwt(public: Gateway, people: httpx.Client) -> None:
    """The header that Envoy writes counts for nothing from a caller: alone, beside a token, beside a JWT."""
    payload = "eyJzdWIiOiJldmUiLCJ0b2xsZ2F0ZV9zY29wZXMiOlsib3BlcmF0b3IiXX0"  # eve, an operator
    forged = [(JWT_PAYLOAD_HEADER, payload), (JWT_PAYLOAD_HEADER.upper(), payload), ("x_tollgate_jwt_payload", payload)]
    token = make_token(public, Scope.READ)
    believed = {"": None, token: "token:", JWTS["good"][0]: "jwt:ann"}
    for credential, name in believed.items():
        headers = [*forged, *(bearer(credential).items() if credential else ())]
        answer = people.get("/whoami", headers=headers)
        assert answer.status_code == (200 if name else 401)
        assert name is None or answer.json()["name"].startswith(name)
        assert "operator" not in answer.text


def test_what_envoy_verifies_is_no_business_of_the_log(public: Gateway, people: httpx.Client) -> None:
    """Neither the JWT nor what is in it."""
    jwt, _ = JWTS["good"]
    answer = people.get("/whoami", headers=bearer(jwt))
    eventually(lambda: answer.headers["x-tollgate-request-id"] in public.logs(), "the line")
    assert all(part not in public.logs() for part in jwt.split("."))


def test_a_flood_ends_at_envoy(people: httpx.Client) -> None:
    """429 in the one shape, with when to go on: an address has fewer requests here than for models."""
    answers = [people.get("/whoami") for _ in range(FEW + 1)]
    (last,) = {answer.status_code for answer in answers[-1:]}
    assert last == 429
    is_error(answers[-1], 8)
    assert int(answers[-1].headers["retry-after"]) > 0
    assert answers[-1].headers["x-ratelimit-limit"].startswith(str(FEW))


def test_without_tls_there_is_no_answer(public: Gateway) -> None:
    """Where others than this machine may come in, nothing is said in the clear."""
    with pytest.raises(httpx.RemoteProtocolError):
        HTTP.get(f"http://127.0.0.1:{public.settings.edge.admin_port}/admin/v1/openapi.json")
