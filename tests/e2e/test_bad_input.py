"""What callers get for a bad request, in each dialect: never a charge, never a stack trace, never a vendor's answer."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import h2.connection
import h2.events
import httpx
import openai
import pytest
from google.genai import errors as google_errors

from extproc.cli.main import app as command_line
from extproc.clock import now_ms
from extproc.core.ledger import Balance
from extproc.core.money import parse_usd
from tests.e2e.harness import HTTP, Customer, Gateway, eventually
from tests.e2e.sdks import Client, anthropic_client, gemini_client, openai_client

TRACES = (
    "Traceback",
    'File "',
    ".py",
    "Exception",
    "Error:",
    "extproc",
    "msgspec",
    "grpc",
    "envoy",
    "upstream connect",
)
"""What no caller should ever read."""

MEBIBYTE = 1024 * 1024
LIMIT = 32 * MEBIBYTE


@dataclass(frozen=True)
class Told:
    """What an error body says, in whichever dialect. `code` is None where the dialect has no place for one."""

    code: str | None
    reason: str | None
    param: str | None
    message: str
    request_id: str | None
    kind: str


@dataclass(frozen=True)
class Dialect:
    """One API: a good request of it, and how its errors read."""

    name: str
    path: str
    header: str
    body: dict[str, Any]
    read: Callable[[dict[str, Any]], Told]
    kinds: dict[int, str]
    """The error type of each status."""


def read_openai(body: dict[str, Any]) -> Told:
    """`{"error": {message, type, param, code}, request_id}`."""
    error = body["error"]
    return Told(
        error["code"], error.get("reason"), error["param"], error["message"], body.get("request_id"), error["type"]
    )


def read_anthropic(body: dict[str, Any]) -> Told:
    """`{"type": "error", "error": {type, message}, request_id}`."""
    assert body["type"] == "error"
    error = body["error"]
    return Told(error.get("code"), error.get("reason"), None, error["message"], body["request_id"], error["type"])


def read_google(body: dict[str, Any]) -> Told:
    """`{"error": {code, message, status, details}}`."""
    error = body["error"]
    details = {detail["@type"].rpartition(".")[2]: detail for detail in error["details"]}
    info = details.get("ErrorInfo", {})
    reason = info.get("metadata", {}).get("reason")
    code = info["reason"].lower() if info else None
    return Told(code, reason, None, error["message"], details["RequestInfo"]["requestId"], error["status"])


MESSAGES = [{"role": "user", "content": "Hello"}]
OPENAI = Dialect(
    "openai",
    "/v1/chat/completions",
    "authorization",
    {"model": "gpt-5-mini", "messages": MESSAGES},
    read_openai,
    {
        400: "invalid_request_error",
        401: "invalid_request_error",
        402: "insufficient_quota",
        404: "invalid_request_error",
        413: "invalid_request_error",
        503: "server_error",
    },
)
ANTHROPIC = Dialect(
    "anthropic",
    "/v1/messages",
    "x-api-key",
    {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": MESSAGES},
    read_anthropic,
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        404: "not_found_error",
        413: "request_too_large",
        503: "overloaded_error",
    },
)
GOOGLE = Dialect(
    "google",
    "/v1beta/models/gemini-2.5-flash:generateContent",
    "x-goog-api-key",
    {"contents": [{"parts": [{"text": "Hello"}]}]},
    read_google,
    {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        402: "FAILED_PRECONDITION",
        404: "NOT_FOUND",
        413: "INVALID_ARGUMENT",
        503: "UNAVAILABLE",
    },
)
DIALECTS = [OPENAI, ANTHROPIC, GOOGLE]

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@pytest.fixture(scope="module")
def customer(demo: Gateway) -> Iterator[Customer]:
    """Somebody with money, of which no test of this file takes any: not from the wallet, not from the key's account."""
    customer = demo.customer(usd="10")
    yield customer
    assert (demo.key_account(customer).used_nano, demo.key_account(customer).held_nano) == (0, 0)


@pytest.fixture
def unharmed(demo: Gateway, customer: Customer) -> Iterator[None]:
    """Whatever the test does: no vendor hears of it, nothing is charged, nothing stays held."""
    demo.forget_received()
    yield
    assert demo.received() == []
    untouched = Balance(limit_nano=parse_usd("10"))
    eventually(lambda: demo.wallet(customer) == untouched, "a wallet as it was")


def key_header(dialect: Dialect, key: str) -> dict[str, str]:
    """The key where this dialect's SDK puts it."""
    return {dialect.header: f"Bearer {key}" if dialect.header == "authorization" else key}


def send(
    demo: Gateway,
    dialect: Dialect,
    key: str | None,
    content: bytes | Iterator[bytes] | None = None,
    path: str | None = None,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """A request of this dialect; by default a good one."""
    said = {"content-type": "application/json", **(key_header(dialect, key) if key else {}), **(headers or {})}
    body = json.dumps(dialect.body).encode() if content is None else content
    return HTTP.request(method, demo.url + (path or dialect.path), content=body, headers=said)


def assert_refused(dialect: Dialect, answer: httpx.Response, status: int, code: str | None) -> Told:
    """The answer is an error of this dialect with this status and code, and nothing of ours shows through."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    told = dialect.read(answer.json())
    assert told.code == code
    assert told.kind == dialect.kinds[status]
    assert told.request_id == answer.headers["x-tollgate-request-id"] != ""
    assert not [word for word in TRACES if word in answer.text]
    return told


# --- Who --------------------------------------------------------------------------------------------------------------

NOT_KEYS = [
    pytest.param(None, id="none"),
    pytest.param("", id="empty"),
    pytest.param("sk-", id="too short"),
    pytest.param("hello", id="malformed"),
    pytest.param("sk-" + "x" * 500, id="too long"),
    pytest.param("sk-" + "ü" * 40, id="not ASCII"),
    pytest.param("sk-" + "A" * 43, id="unknown"),
    pytest.param("sk-'; DROP TABLE keys; --aaaaaaaaaaaaa", id="quotes"),
    pytest.param("sk-tg:{b1}:key:*aaaaaaaaaaaaaaaaaaaaa", id="a Redis name"),
]


@pytest.mark.usefixtures("unharmed")
@each_dialect
@pytest.mark.parametrize("key", NOT_KEYS)
def test_what_is_no_key_is_refused(demo: Gateway, dialect: Dialect, key: str | None) -> None:
    """No key, a malformed one and one nobody made: 401 invalid_api_key."""
    header = key_header(dialect, key).popitem() if key is not None else None
    headers = {"content-type": "application/json"}
    raw = [(name.encode(), value.strip().encode()) for name, value in [*headers.items(), *([header] if header else [])]]

    answer = HTTP.post(demo.url + dialect.path, content=json.dumps(dialect.body), headers=raw)

    assert_refused(dialect, answer, 401, "invalid_api_key")


@each_dialect
def test_a_key_is_dead_from_the_request_after_its_disabling(demo: Gateway, dialect: Dialect) -> None:
    """All workers have the key cached and serve it; once it is disabled the next request to each is a 401."""
    customer = demo.customer()
    for _ in range(8):
        assert send(demo, dialect, customer.key).status_code == 200
    demo.settled(customer, records=8)
    demo.forget_received()
    command_line(["keys", "disable", customer.key_id, "--data", str(demo.settings.data)], standalone_mode=False)

    answers = [send(demo, dialect, customer.key) for _ in range(8)]

    for answer in answers:
        assert assert_refused(dialect, answer, 401, "invalid_api_key").reason == "key_disabled"
    assert demo.received() == []
    assert demo.wallet(customer).held_nano == 0


@each_dialect
def test_an_expired_key_is_refused(demo: Gateway, dialect: Dialect) -> None:
    """A key whose time is over: 401, though its owner has money."""
    demo.forget_received()
    expired = demo.customer(expires_ms=now_ms() - 1)

    answer = send(demo, dialect, expired.key)

    assert assert_refused(dialect, answer, 401, "invalid_api_key").reason == "key_expired"
    assert demo.received() == []
    assert demo.usage(expired) == []


# --- What -------------------------------------------------------------------------------------------------------------

NOT_OBJECTS = [
    pytest.param(b"", id="empty"),
    pytest.param(b" \n", id="blank"),
    pytest.param(b"hello", id="no JSON"),
    pytest.param(b"{", id="cut"),
    pytest.param(b'{"model":"gpt-5-mini"} {}', id="two"),
    pytest.param(b"[]", id="array"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"text"', id="string"),
    pytest.param(b"[" * 200_000, id="deep and cut"),
    pytest.param(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", id="deep"),
    pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="deep objects"),
    pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
    pytest.param(b"\xff\xfe{\x00}\x00", id="UTF-16"),
    pytest.param(b'{"\xff":1}', id="invalid UTF-8 in a name"),
    pytest.param(b'{"a":"\xff"}', id="invalid UTF-8 in a value"),
    pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate in UTF-8"),
    pytest.param(b'{"a":"\\ud800"}', id="lone surrogate"),
    pytest.param(b'{"a":NaN}', id="NaN"),
]


@pytest.mark.usefixtures("unharmed")
@each_dialect
@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_a_body_that_is_no_json_object_is_refused(
    demo: Gateway, customer: Customer, dialect: Dialect, body: bytes
) -> None:
    """Not JSON, not an object, too deep, or not UTF-8: 400 invalid_request_error."""
    assert_refused(dialect, send(demo, dialect, customer.key, body), 400, "invalid_request_error")


@pytest.mark.usefixtures("unharmed")
@each_dialect
def test_invalid_utf8_in_an_otherwise_good_body_is_refused(demo: Gateway, customer: Customer, dialect: Dialect) -> None:
    """A good request with one broken byte in its prompt: 400, not passed on to the vendor."""
    body = json.dumps(dialect.body).encode().replace(b"Hello", b"H\xffllo")

    assert_refused(dialect, send(demo, dialect, customer.key, body), 400, "invalid_request_error")


NO_COUNTS: list[Any] = ["9", 0, -1, 1.5, True]
WRONG_VALUES: list[tuple[Dialect, str, list[Any]]] = [
    (OPENAI, "model", [None, "", 5, ["gpt-5-mini"], {}]),
    (OPENAI, "max_tokens", [*NO_COUNTS, 10**40]),
    (OPENAI, "max_completion_tokens", NO_COUNTS),
    (OPENAI, "n", [*NO_COUNTS, 10**6]),
    (OPENAI, "stream", ["true", 1, []]),
    (OPENAI, "stream_options", ["yes", 1, []]),
    (ANTHROPIC, "model", [None, "", 5, []]),
    (ANTHROPIC, "max_tokens", NO_COUNTS),
    (ANTHROPIC, "stream", ["true", 1, {}]),
    (GOOGLE, "generationConfig", [1, "", []]),
    (GOOGLE, "maxOutputTokens", [{"maxOutputTokens": value} for value in NO_COUNTS]),
    (GOOGLE, "candidateCount", [{"candidateCount": value} for value in NO_COUNTS]),
]
WRONG_FIELDS = [(dialect, field, value) for dialect, field, values in WRONG_VALUES for value in values]


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("dialect", "field", "value"), WRONG_FIELDS, ids=lambda value: getattr(value, "name", None) or str(value)[:30]
)
def test_a_wrong_field_is_named(demo: Gateway, customer: Customer, dialect: Dialect, field: str, value: Any) -> None:
    """No model, an empty one, or a member of a wrong type or size: 400, and the message names the member."""
    changed = {"generationConfig": value} if dialect is GOOGLE else {field: value}
    body = {**dialect.body, **({"stream": True} if field == "stream_options" else {}), **changed}

    told = assert_refused(
        dialect, send(demo, dialect, customer.key, json.dumps(body).encode()), 400, "invalid_request_error"
    )

    assert field in told.message
    assert dialect is not OPENAI or told.param == field


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=lambda dialect: dialect.name)
def test_a_missing_model_is_named(demo: Gateway, customer: Customer, dialect: Dialect) -> None:
    """A body without a model: 400, naming `model`."""
    body = {name: value for name, value in dialect.body.items() if name != "model"}

    told = assert_refused(
        dialect, send(demo, dialect, customer.key, json.dumps(body).encode()), 400, "invalid_request_error"
    )

    assert "model" in told.message


# --- Models and paths -------------------------------------------------------------------------------------------------

FOREIGN_MODELS = {
    "unknown": "no-such-model",
    "another dialect's": "claude-haiku-4-5",
    "an embedding model": "text-embedding-3-small",
    "Google's embedding model": "gemini-embedding-001",
    "another spelling": "GPT-5-MINI",
    "a path": "../../openai/v1/files",
    "a channel": "demo-openai",
}


@pytest.mark.usefixtures("unharmed")
@each_dialect
@pytest.mark.parametrize("model", FOREIGN_MODELS.values(), ids=FOREIGN_MODELS)
def test_a_model_that_cannot_be_called_here_is_not_found(
    demo: Gateway, customer: Customer, dialect: Dialect, model: str
) -> None:
    """An unknown model, one of another dialect, and an embedding model on chat: 404 model_not_found."""
    if dialect is ANTHROPIC and model.startswith("claude"):
        model = "gpt-5-mini"
    escaped = model.replace("/", "%2F")
    path = f"/v1beta/models/{escaped}:generateContent" if dialect is GOOGLE else dialect.path

    answer = send(demo, dialect, customer.key, json.dumps({**dialect.body, "model": model}).encode(), path)

    assert_refused(dialect, answer, 404, "model_not_found")


@pytest.mark.parametrize("dialect", [OPENAI, GOOGLE], ids=lambda dialect: dialect.name)
def test_a_model_of_another_group_is_not_found(demo: Gateway, dialect: Dialect) -> None:
    """A model that other keys may call is as unknown to this key as one that is not there."""
    demo.forget_received()
    coder = demo.customer(group="claude-code")

    assert_refused(dialect, send(demo, dialect, coder.key), 404, "model_not_found")

    assert demo.received() == []
    assert demo.wallet(coder).held_nano == 0


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("POST", "/v1"),
        ("POST", "/v1/files"),
        ("POST", "/v1/images/variations"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/chat/completions/../files"),
        ("POST", "/V1/chat/completions"),
        ("POST", "/v1%2Fchat/completions"),
        ("POST", "/openai/v1/chat/completions"),
        ("POST", "/claude/v1/files"),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1beta/models/gemini-2.5-flash:batchGenerateContent"),
        ("POST", "/v1beta/models/gemini-2.5-flash"),
        ("POST", "/v1beta/cachedContents"),
        ("POST", "/_sim/received"),
        ("POST", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/messages"),
        ("PUT", "/v1/chat/completions"),
        ("DELETE", "/v1/models"),
        ("OPTIONS", "/v1/chat/completions"),
        ("PATCH", "/v1/messages"),
    ],
)
def test_what_is_not_served_is_not_found(demo: Gateway, customer: Customer, method: str, path: str) -> None:
    """An unknown path, an operation nobody priced, and a wrong method: 404 in the path's dialect, never a free pass."""
    dialect = ANTHROPIC if path.startswith(("/v1/messages", "/claude")) else OPENAI
    dialect = GOOGLE if path.startswith("/v1beta") else dialect

    answer = send(demo, OPENAI, customer.key, path=path, method=method)

    assert_refused(dialect, answer, 404, "not_found")


def test_head_is_not_served(demo: Gateway, customer: Customer) -> None:
    """HEAD has no body to say it in, but the status and the id are there."""
    answer = HTTP.head(f"{demo.url}/v1/chat/completions", headers=key_header(OPENAI, customer.key))

    assert answer.status_code == 404
    assert answer.headers["x-tollgate-request-id"]


# --- Bodies that are not there, or too large --------------------------------------------------------------------------


@pytest.mark.usefixtures("unharmed")
@each_dialect
def test_a_post_without_a_body_is_refused(demo: Gateway, customer: Customer, dialect: Dialect) -> None:
    """No body at all: 400 at the headers."""
    answer = HTTP.post(demo.url + dialect.path, headers=key_header(dialect, customer.key))

    assert_refused(dialect, answer, 400, "invalid_request_error")


@pytest.mark.usefixtures("unharmed")
@each_dialect
def test_an_empty_chunked_body_is_refused(demo: Gateway, customer: Customer, dialect: Dialect) -> None:
    """A body of no chunks: 400."""
    answer = send(demo, dialect, customer.key, iter(()))

    assert_refused(dialect, answer, 400, "invalid_request_error")


def over_http2(
    demo: Gateway, headers: dict[str, str], data: bytes | None, trailers: dict[str, str] | None
) -> tuple[dict[str, str], bytes]:
    """The headers and body of the answer to one request over HTTP/2 without TLS."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    connection.send_headers(1, list(headers.items()))
    if data is not None:
        connection.send_data(1, data, end_stream=trailers is None)
    if trailers is not None:
        connection.send_headers(1, list(trailers.items()), end_stream=True)
    told: dict[str, str] = {}
    body = b""
    with socket.create_connection((demo.settings.edge.listen, demo.settings.edge.port), timeout=10) as wire:
        while True:
            wire.sendall(connection.data_to_send())
            for event in connection.receive_data(wire.recv(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    told = {_text(name): _text(value) for name, value in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return told, body


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def http2_headers(demo: Gateway, dialect: Dialect, key: str) -> dict[str, str]:
    """A request's headers as HTTP/2 has them."""
    pseudo = {
        ":method": "POST",
        ":path": dialect.path,
        ":scheme": "http",
        ":authority": f"127.0.0.1:{demo.settings.edge.port}",
    }
    return {**pseudo, "content-type": "application/json", **key_header(dialect, key)}


@pytest.mark.usefixtures("unharmed")
@each_dialect
def test_headers_and_trailers_without_a_body_reach_no_vendor(
    demo: Gateway, customer: Customer, dialect: Dialect
) -> None:
    """Fact D: HTTP/2 HEADERS, then trailers, no DATA, so admit sees no body: an error, never an unmetered call."""
    headers, body = over_http2(demo, http2_headers(demo, dialect, customer.key), None, {"x-end": "1"})

    answer = httpx.Response(int(headers.pop(":status")), headers=headers, content=body)
    assert_refused(dialect, answer, 503, "service_unavailable")


@each_dialect
def test_a_body_with_trailers_is_served_and_charged(demo: Gateway, dialect: Dialect) -> None:
    """HTTP/2 with a body and trailers is a request like any other."""
    customer = demo.customer()
    body = json.dumps(dialect.body).encode()

    headers, _ = over_http2(demo, http2_headers(demo, dialect, customer.key), body, {"x-end": "1"})

    assert headers[":status"] == "200"
    (record,) = demo.settled(customer, records=1)
    assert record["charged_nano"] > 0


def exchange(demo: Gateway, head: list[str], body: Iterator[bytes]) -> httpx.Response:
    """Write as much of a request as is taken, then read the answer. For answers that come before the request's end."""
    with socket.create_connection((demo.settings.edge.listen, demo.settings.edge.port), timeout=30) as wire:
        wire.sendall("\r\n".join([*head, "host: gateway", "connection: close", "", ""]).encode())
        try:
            for part in body:
                wire.sendall(part)
        except (ConnectionError, TimeoutError):
            pass
        read = b""
        try:
            while part := wire.recv(65536):
                read += part
        except ConnectionError:
            pass
    top, _, content = read.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return httpx.Response(int(first.split()[1]), headers=headers, content=content)


@pytest.mark.usefixtures("unharmed")
@each_dialect
@pytest.mark.parametrize("size", [LIMIT + 1, 10**18], ids=["one byte more", "an exabyte"])
def test_a_body_announced_over_the_limit_is_refused(
    demo: Gateway, customer: Customer, dialect: Dialect, size: int
) -> None:
    """A content-length over 32 MiB: 413 at once, before the body is sent."""
    ((name, value),) = key_header(dialect, customer.key).items()

    answer = exchange(demo, [f"POST {dialect.path} HTTP/1.1", f"{name}: {value}", f"content-length: {size}"], iter(()))

    told = assert_too_large(dialect, answer)
    assert "32 MiB" in told.message


def assert_too_large(dialect: Dialect, answer: httpx.Response) -> Told:
    """413 as Envoy itself words it."""
    return assert_refused(dialect, answer, 413, "request_too_large")


@pytest.mark.usefixtures("unharmed")
@each_dialect
def test_a_chunked_body_over_the_limit_is_refused(demo: Gateway, customer: Customer, dialect: Dialect) -> None:
    """40 MiB in chunks, without a content-length: 413."""
    ((name, value),) = key_header(dialect, customer.key).items()
    chunk = b"%x\r\n" % MEBIBYTE + b" " * MEBIBYTE + b"\r\n"
    head = [f"POST {dialect.path} HTTP/1.1", f"{name}: {value}", "transfer-encoding: chunked"]

    assert_too_large(dialect, exchange(demo, head, iter([chunk] * 40 + [b"0\r\n\r\n"])))


def test_a_body_at_the_limit_is_served(demo: Gateway) -> None:
    """32 MiB exactly are not too large: the vendor receives them all."""
    demo.forget_received()
    customer = demo.customer(usd="100")
    body = json.dumps({**OPENAI.body, "messages": [{"role": "user", "content": "PAD"}]}).encode()
    body = body.replace(b"PAD", b"x" * (LIMIT - len(body) + 3))

    assert send(demo, OPENAI, customer.key, body).status_code == 200

    assert demo.received()[0]["body_bytes"] > LIMIT - 100
    demo.settled(customer, records=1)


# --- Money ------------------------------------------------------------------------------------------------------------


@each_dialect
def test_an_empty_wallet_is_told(demo: Gateway, dialect: Dialect) -> None:
    """No money: 402 insufficient_quota, billing_shortfall; the message says how much is left."""
    demo.forget_received()
    poor = demo.customer(usd="0")

    told = assert_refused(dialect, send(demo, dialect, poor.key), 402, "insufficient_quota")

    assert told.reason == "billing_shortfall"
    assert "0.00 USD is left" in told.message
    assert (demo.received(), demo.usage(poor)) == ([], [])
    assert demo.wallet(poor).held_nano == demo.wallet(poor).used_nano == 0


@each_dialect
def test_a_reached_cap_is_told(demo: Gateway, dialect: Dialect) -> None:
    """Money enough, but the key's cap is too near: 402 insufficient_quota, api_key_quota_exceeded."""
    demo.forget_received()
    capped = demo.customer(usd="100", cap_nano=1)

    told = assert_refused(dialect, send(demo, dialect, capped.key), 402, "insufficient_quota")

    assert told.reason == "api_key_quota_exceeded"
    assert "0.000000001 USD is left" in told.message
    assert (demo.received(), demo.usage(capped)) == ([], [])
    assert demo.wallet(capped).held_nano == demo.key_account(capped).held_nano == 0


# --- What a caller may not say ----------------------------------------------------------------------------------------

FORGED = {
    "x-request-id": "00000000-0000-4000-8000-000000000001",
    "x-tollgate-request-id": "00000000-0000-4000-8000-000000000002",
    "x-tollgate-owner": "somebody-else",
    "x-envoy-max-retries": "0",
    "x-envoy-retry-on": "gateway-error",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-original-path": "/v1/files",
}
"""No x-forwarded-for: with it Envoy takes the caller for one from outside, and drops most of these by itself."""


@each_dialect
def test_forged_headers_are_ignored(demo: Gateway, dialect: Dialect) -> None:
    """A caller's ids, retries and timeouts change nothing: the ids are ours, and no vendor sees theirs."""
    demo.forget_received()
    customer = demo.customer()

    answers = [send(demo, dialect, customer.key, headers=FORGED) for _ in range(2)]

    ids = [answer.headers["x-tollgate-request-id"] for answer in answers]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({*ids, FORGED["x-request-id"], FORGED["x-tollgate-request-id"]}) == 4
    assert {record["request_id"] for record in demo.settled(customer, records=2)} == set(ids)
    for request in demo.received():
        assert not set(FORGED.values()) & set(request["headers"].values())
        assert not [name for name in request["headers"] if name.startswith(("x-tollgate", "x-envoy"))]


def test_a_callers_retry_limit_does_not_stop_the_failover(demo: Gateway) -> None:
    """x-envoy-max-retries: 0 from outside: the second channel is asked all the same."""
    customer = demo.customer()
    script = '[[sim {"only": {"openai": {"status": 500}}}]]'
    body = json.dumps({**OPENAI.body, "messages": [{"role": "user", "content": script}]}).encode()

    answer = send(demo, OPENAI, customer.key, body, headers=FORGED)

    assert answer.status_code == 200
    assert demo.settled(customer, records=1)[0]["channel"] == "demo-openai-backup"


PLACES = ["authorization", "x-api-key", "x-goog-api-key", "?key="]


@each_dialect
@pytest.mark.parametrize("place", PLACES)
def test_a_key_reaches_no_vendor_and_no_log(demo: Gateway, dialect: Dialect, place: str) -> None:
    """A key works in each of its four places, beside a decoy in `api-key`; no vendor gets and no log has either."""
    demo.forget_received()
    customer = demo.customer()
    path, headers = dialect.path, {"content-type": "application/json", "api-key": "sk-decoy-0123456789"}
    if place == "?key=":
        path += f"?alt=json&key={customer.key}&trace=1"
    else:
        headers[place] = f"Bearer {customer.key}" if place == "authorization" else customer.key

    answer = HTTP.post(demo.url + path, json=dialect.body, headers=headers)

    assert answer.status_code == 200
    (request,) = demo.received()
    seen = json.dumps(request) + demo.logs()
    assert customer.key not in seen
    assert "sk-decoy" not in seen
    assert place != "?key=" or request["path"].endswith("?alt=json&trace=1")
    demo.settled(customer, records=1)


# --- In the SDKs' own exceptions --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("make", "model", "error"),
    [
        (openai_client, "no-such-model", openai.NotFoundError),
        (anthropic_client, "no-such-model", anthropic.NotFoundError),
        (gemini_client, "no-such-model", google_errors.ClientError),
    ],
)
def test_an_sdk_raises_its_own_exception(
    demo: Gateway, customer: Customer, make: Client, model: str, error: type[Exception]
) -> None:
    """An unknown key and an unknown model are what each SDK raises for its own vendor's 401 and 404."""
    refused = {openai_client: openai.AuthenticationError, anthropic_client: anthropic.AuthenticationError}
    unknown_key = refused.get(make, google_errors.ClientError)

    with pytest.raises(error, match=r"404.*no-such-model"):
        ask(make(demo.url, customer.key), model)
    with pytest.raises(unknown_key, match=r"401.*not valid"):
        ask(make(demo.url, "sk-" + "A" * 43), model)


def ask(client: Client, model: str) -> None:
    """The simplest call of this SDK."""
    if hasattr(client, "chat"):
        client.chat.completions.create(model=model, messages=MESSAGES)
    elif hasattr(client, "messages"):
        client.messages.create(model=model, max_tokens=9, messages=MESSAGES)
    else:
        client.models.generate_content(model=model, contents="Hello")
