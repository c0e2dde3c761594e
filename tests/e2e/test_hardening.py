"""What callers and vendors may do to the gateway, on the real binary: it costs nothing, breaks and tells nothing."""

import contextlib
import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import h2.connection
import h2.events
import h2.settings
import httpx
import pytest
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame, SettingsFrame

from extproc import envoy_admin
from extproc.core.ledger import Balance
from extproc.core.money import parse_usd
from tests.e2e import malformed
from tests.e2e.calls import call
from tests.e2e.chains import CHANNELS, credential
from tests.e2e.conftest import CONFIG
from tests.e2e.h2_vendor import H2Vendor
from tests.e2e.harness import HTTP, NO_FLOOD, Customer, Gateway, eventually, gateway
from tests.e2e.odd_vendor import TELLING
from tests.e2e.test_bad_input import OPENAI, http2_headers, over_http2
from tests.e2e.test_tls import ask, own_certificate, trusting

MAX_CONNECTIONS = 40
PATIENCE = 20.0
"""Seconds in which Envoy must have answered, or hung up."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of which no process may have died when the tests are over, but by their hand."""
    settings = {"TOLLGATE_MAX_CONNECTIONS": str(MAX_CONNECTIONS)}
    with gateway(CONFIG, tmp_path_factory.mktemp("attacked"), workers=1, environment=settings) as running:
        yield running
        assert not re.search("Traceback|assert failure|Caught Segmentation|critical", running.logs())


@pytest.fixture(scope="module")
def customer(attacked: Gateway) -> Customer:
    """Somebody who could pay."""
    return attacked.customer(usd="10")


@pytest.fixture
def unharmed(attacked: Gateway, customer: Customer) -> Iterator[None]:
    """No vendor hears of it, no money moves, and every process is the one that it was."""
    attacked.forget_received()
    before = processes(attacked)
    yield
    assert processes(attacked) == before
    assert attacked.received() == []
    eventually(lambda: attacked.wallet(customer) == Balance(limit_nano=parse_usd("10")), "a wallet as it was")


def processes(gateway: Gateway) -> list[int]:
    """Envoy and the workers."""
    return [*gateway.pids("envoy.yaml"), *gateway.pids("extproc.app")]


def play(gateway: Gateway, sent: bytes, *, end: bool, over: Callable[[bytes], bool] = lambda _: False) -> bytes:
    """What comes back for these bytes until Envoy hangs up, or all is said; `end` if the caller sends no more."""
    edge = gateway.settings.edge
    received = b""
    with (
        socket.create_connection((edge.listen, edge.port), timeout=PATIENCE) as wire,
        contextlib.suppress(ConnectionError),
    ):
        with contextlib.suppress(ConnectionError):
            wire.sendall(sent)
            if end:
                wire.shutdown(socket.SHUT_WR)
        while part := wire.recv(65536):
            received += part
            if over(received):
                break
    return received


# --- Malformed requests -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", malformed.HTTP1)
def test_what_is_no_http_costs_nothing(attacked: Gateway, customer: Customer, name: str) -> None:
    """At most one answer, which says that the request is at fault; and what was smuggled behind it is never read."""
    sent = malformed.HTTP1[name].replace(malformed.KEY, customer.key.encode())

    answer = play(attacked, sent, end=name.startswith("an end before"))

    statuses = re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)
    assert len(statuses) <= 1
    assert all(400 <= int(status) < 500 or status == b"501" for status in statuses)
    assert not [word for word in (b"envoy", b"upstream", b"Traceback") if word in answer]


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", malformed.HTTP2)
def test_what_is_no_http2_costs_nothing(attacked: Gateway, customer: Customer, name: str) -> None:
    """The stream is reset, or the connection ends; a status, if there is any, is the caller's fault."""
    sent = malformed.HTTP2[name].replace(malformed.KEY, customer.key.encode())

    answer = play(attacked, sent, end=name.startswith("an end before"), over=is_over)

    statuses = [event for event in answered(answer) if isinstance(event, int)]
    assert all(400 <= status < 500 for status in statuses)


def frames(received: bytes) -> Iterator[Frame]:
    """The frames that are whole, without what is in them."""
    while len(received) >= 9:
        frame, length = Frame.parse_frame_header(memoryview(received[:9]))
        if len(received) < 9 + length:
            return
        yield frame
        received = received[9 + length :]


def is_over(received: bytes) -> bool:
    """Whether the connection or the stream has been ended, or answered in full."""
    return any(
        isinstance(frame, GoAwayFrame | RstStreamFrame) or "END_STREAM" in frame.flags for frame in frames(received)
    )


def is_greeted(received: bytes) -> bool:
    """Whether the settings of the other side are there."""
    return any(isinstance(frame, SettingsFrame) and "ACK" not in frame.flags for frame in frames(received))


def answered(received: bytes) -> Iterator[int]:
    """The statuses in what came back."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    connection.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
    with contextlib.suppress(Exception):
        for event in connection.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                yield int(dict(event.headers)[b":status"])


@pytest.mark.parametrize("name", malformed.LENIENT)
def test_what_envoy_puts_right_is_one_request(attacked: Gateway, name: str) -> None:
    """It is answered once, charged once, and the vendor gets one header where a careless reader would find two."""
    customer = attacked.customer()
    attacked.forget_received()

    answer = play(attacked, malformed.LENIENT[name].replace(malformed.KEY, customer.key.encode()), end=False)

    assert re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE) == [b"200"]
    attacked.settled(customer, records=1)
    (request,) = attacked.received()
    assert not {"x-c", "upgrade", "http2-settings"} & request["headers"].keys()
    assert "elsewhere" not in request["headers"]["host"]


def ask_chat(gateway: Gateway, customer: Customer, headers: dict[str, str]) -> httpx.Response:
    """A good request with these headers more."""
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
    sent = {"authorization": f"Bearer {customer.key}", **headers}
    return HTTP.post(f"{gateway.url}/v1/chat/completions", json=body, headers=sent)


def test_a_header_with_an_underscore_reaches_no_vendor(attacked: Gateway) -> None:
    """A vendor that reads headers as variables would take x_api_key for x-api-key: the operator's own."""
    customer = attacked.customer()
    attacked.forget_received()
    assert ask_chat(attacked, customer, {"x_api_key": "sk-of-somebody", "x_a": "b"}).status_code == 200
    (request,) = attacked.received()
    assert not [name for name in request["headers"] if "_" in name]
    attacked.settled(customer, records=1)


# --- What nobody may say ----------------------------------------------------------------------------------------------

FORGED = {
    "x-request-id": "00000000-0000-4000-8000-000000000001",
    "x-tollgate-owner": "somebody-else",
    "x-tollgate-limited": "limited_channel",
    "x-envoy-max-retries": "0",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-expected-rq-timeout-ms": "1",
}


@pytest.mark.parametrize("place", ["headers", "trailers"])
def test_forged_headers_are_ignored_over_http2(attacked: Gateway, place: str) -> None:
    """As headers or as trailers, what is ours to say changes nothing, and no vendor sees it."""
    customer = attacked.customer()
    attacked.forget_received()
    headers, trailers = (FORGED, {"x-end": "1"}) if place == "headers" else ({}, FORGED)
    sent = {**http2_headers(attacked, OPENAI, customer.key), **headers}

    answer, _ = over_http2(attacked, sent, json.dumps(OPENAI.body).encode(), trailers)

    assert answer[":status"] == "200"
    (record,) = attacked.settled(customer, records=1)
    assert record["request_id"] == answer["x-tollgate-request-id"] != FORGED["x-request-id"]
    (request,) = attacked.received()
    assert not set(FORGED.values()) & set(request["headers"].values())
    assert not [name for name in request["headers"] if name.startswith(("x-tollgate", "x-envoy"))]


def test_trailers_reach_no_vendor(tmp_path: Path) -> None:
    """Not even one that speaks HTTP/2, to which Envoy could pass them on: neither ours, nor a credential."""
    vendor = H2Vendor(tmp_path / "vendor")
    channel = {
        "dialect": "openai",
        "base_url": f"https://localhost:{vendor.port}/v1",
        "insecure_tls": True,
        "models": {OPENAI.body["model"]: None},
    }
    model = {"price": {"input": 1, "output": 1}, "max_output_tokens": 100}
    files = {
        "channels": {"h2": channel},
        "groups": {"default": {"channels": [{"channel": "h2"}]}},
        "models": {OPENAI.body["model"]: model},
    }
    (tmp_path / "config").mkdir()
    for name, content in files.items():
        (tmp_path / "config" / f"{name}.yaml").write_text(json.dumps({name: content}))
    trailers = {**FORGED, "authorization": "Bearer sk-of-somebody", "x-end": "1"}
    with gateway(tmp_path / "config", tmp_path / "data", workers=1) as running:
        sent = http2_headers(running, OPENAI, running.customer().key)
        answer, _ = over_http2(running, sent, json.dumps(OPENAI.body).encode(), trailers)
    vendor.close()
    assert answer[":status"] == "200"
    assert "content-type" in vendor.received
    assert not {*trailers} - {"x-request-id"} & {*vendor.received}
    assert vendor.received.count("x-request-id") == 1


def test_a_vendors_answer_tells_nothing_of_the_operators_account(chains: Gateway) -> None:
    """Accounts, limits, cookies and machines of the vendor stay behind; the ids that SDKs show are ours."""
    customer = chains.customer(group="odd-busy-then-odd")

    answer = call(chains, customer, "chat")

    assert answer.status_code == 200
    request_id = answer.headers["x-tollgate-request-id"]
    told = {name: answer.headers[name] for name in TELLING if name in answer.headers}
    assert told == {
        "server": "tollgate",
        "x-request-id": request_id,
        "request-id": request_id,
        "x-ratelimit-limit": NO_FLOOD["TOLLGATE_RATE_PER_CREDENTIAL"],
    }
    assert not [value for value in answer.headers.values() if "vendor" in value or "operator" in value]
    chains.settled(customer, records=1)


# --- What a caller may keep busy --------------------------------------------------------------------------------------


@contextlib.contextmanager
def changed_envoy(gateway: Gateway, *changes: tuple[str, str]) -> Iterator[None]:
    """Inside, Envoy runs with other figures than those of the bootstrap; afterwards with those again."""
    bootstrap = gateway.settings.run / "envoy.yaml"
    original = bootstrap.read_text()
    changed = original
    for old, new in changes:
        assert old in changed, old
        changed = changed.replace(old, new)
    try:
        restart_envoy(gateway, changed)
        yield
    finally:
        restart_envoy(gateway, original)


def restart_envoy(gateway: Gateway, bootstrap: str) -> None:
    """Let `tollgate up` start it again with this bootstrap, and wait until it serves."""
    (gateway.settings.run / "envoy.yaml").write_text(bootstrap)
    old = gateway.kill("envoy.yaml", signal.SIGKILL)
    eventually(lambda: not set(old) & set(gateway.pids("envoy.yaml")) and gateway.workers_ready(), "another Envoy", 60)


def test_silence_ends_a_connection(attacked: Gateway, customer: Customer) -> None:
    """A request that does not arrive is answered with 408 or not at all, a handshake that does not is cut.

    The figures are shortened for the test: those of the bootstrap are ten seconds, and five minutes for a body.
    """
    shorter = (
        ("request_headers_timeout: 10s", "request_headers_timeout: 1s"),
        ("request_timeout: 300s", "request_timeout: 1s"),
        ("transport_socket_connect_timeout: 10s", "transport_socket_connect_timeout: 1s"),
    )
    with changed_envoy(attacked, *shorter):
        for half in malformed.HALF.values():
            answer = play(attacked, half.replace(malformed.KEY, customer.key.encode()), end=False)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
        edge = attacked.settings.edge
        with socket.create_connection((edge.listen, edge.tls_port), timeout=PATIENCE) as silent:
            assert silent.recv(1) == b""
    eventually(lambda: attacked.wallet(customer) == Balance(limit_nano=parse_usd("10")), "a wallet as it was")


def test_connections_have_a_limit(attacked: Gateway) -> None:
    """Above it a connection is closed at once, those below go on, and there is room again when one ends."""
    edge, customer = attacked.settings.edge, attacked.customer()
    with contextlib.ExitStack() as stack:
        left = MAX_CONNECTIONS - connections(attacked)
        kept = [stack.enter_context(socket.create_connection((edge.listen, edge.port), PATIENCE)) for _ in range(left)]
        eventually(lambda: connections(attacked) == MAX_CONNECTIONS, "a full gateway")
        with socket.create_connection((edge.listen, edge.tls_port), PATIENCE) as one_more:
            assert one_more.recv(1) == b""
        kept[0].close()
        eventually(lambda: connections(attacked) < MAX_CONNECTIONS, "room for another")
        kept[1].sendall(b"GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n")
        assert kept[1].recv(12) == b"HTTP/1.1 401"
        assert ask(attacked, customer, trusting(own_certificate(attacked))).status_code == 200
    attacked.settled(customer, records=1)


def connections(gateway: Gateway) -> int:
    """How many callers are connected."""
    seen = envoy_admin.stats(gateway.settings.run / "admin.sock", "http.edge.downstream_cx_active$")
    return int(seen.get("http.edge.downstream_cx_active", 0))


def test_without_memory_new_requests_are_refused(tmp_path: Path) -> None:
    """503 with Retry-After, before anything is held."""
    with gateway(CONFIG, tmp_path, workers=1, environment={"TOLLGATE_MAX_HEAP_BYTES": "1048576"}) as running:
        customer = running.customer()
        eventually(lambda: ask_chat(running, customer, {}).status_code == 503, "the refusal")
        refused = ask_chat(running, customer, {})
        assert refused.json()["error"]["code"] == "service_unavailable"
        assert refused.headers["retry-after"] == "2"
        assert running.wallet(customer).held_nano == 0


def test_a_connection_has_so_many_streams_and_so_much_room(attacked: Gateway) -> None:
    """What HTTP/2 callers are told: 100 streams, and 256 KiB each that nobody has read yet."""
    received = play(attacked, malformed.PREFACE + malformed.SETTINGS, end=False, over=is_greeted)
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    (changed,) = [
        event for event in connection.receive_data(received) if isinstance(event, h2.events.RemoteSettingsChanged)
    ]
    told = {code: setting.new_value for code, setting in changed.changed_settings.items()}
    assert told[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] == 100
    assert told[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] == 256 * 1024


def test_envoys_administration_is_for_its_owner_alone(attacked: Gateway) -> None:
    """It is a socket that nobody else may open, and no port listens for it."""
    assert (attacked.settings.run / "admin.sock").stat().st_mode & 0o777 == 0o600
    listening = envoy_admin.ask(attacked.settings.run / "admin.sock", "/listeners")
    assert {line.partition("::")[0] for line in listening.splitlines()} == {"edge", "edge_tls", "edge_quic", "gate"}


@pytest.mark.parametrize(
    "path", ["/config_dump?include_eds", "/clusters", "/stats", "/certs", "/listeners", "/init_dump"]
)
def test_envoys_administration_tells_no_vendors_credential(chains: Gateway, path: str) -> None:
    """Whoever may look at it sees where a credential is, and never what it is; the logs do not tell it either."""
    told = envoy_admin.ask(chains.settings.run / "admin.sock", path) + chains.logs()
    assert not [channel for channel in CHANNELS if credential(channel) in told]
