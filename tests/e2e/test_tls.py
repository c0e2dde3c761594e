"""TLS on both sides, on the real binary: what callers are offered, what is replaced while it runs, who vendors are."""

import json
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest
import yaml

from extproc import envoy_admin, up
from extproc.certificate import ensure_certificate, self_signed
from extproc.errors import ConfigError
from extproc.names import TLS_CERTIFICATE, TLS_KEY
from extproc.settings import make_settings
from tests.e2e import http3
from tests.e2e.conftest import CONFIG
from tests.e2e.harness import HTTP, Customer, Gateway, eventually, gateway
from tests.e2e.tls_vendor import TlsVendor

BODY = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose certificate may be replaced."""
    with gateway(CONFIG, tmp_path_factory.mktemp("tls"), workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def customer(own: Gateway) -> Customer:
    """Somebody with money."""
    return own.customer()


def trusting(certificate: Path) -> ssl.SSLContext:
    """A caller's context that trusts this certificate alone."""
    return ssl.create_default_context(cafile=certificate)


def own_certificate(gateway: Gateway) -> Path:
    """The one that it shows."""
    return gateway.settings.edge.certificates / TLS_CERTIFICATE


def shown(gateway: Gateway, context: ssl.SSLContext | None = None) -> bytes:
    """The certificate that a new connection is shown."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    edge = gateway.settings.edge
    with (
        socket.create_connection((edge.listen, edge.tls_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True) or b""


def is_shown(gateway: Gateway, certificate: bytes) -> bool:
    """Whether a new connection is shown this one."""
    return shown(gateway) == certificate


def ask(gateway: Gateway, customer: Customer, context: ssl.SSLContext, *, http2: bool = False) -> httpx.Response:
    """One call over TLS on a connection of its own."""
    with httpx.Client(verify=context, http2=http2, trust_env=False, timeout=30) as client:
        headers = {"authorization": f"Bearer {customer.key}"}
        return client.post(gateway.settings.tls_url + PATH, json=BODY, headers=headers)


def replace_certificate(folder: Path, content: tuple[bytes, bytes]) -> None:
    """As Kubernetes does it in a mounted secret: both at once, by the rename of a link that both go through."""
    certificate, key = content
    fresh = folder / f"..{id(content)}"
    fresh.mkdir()
    (fresh / TLS_CERTIFICATE).write_bytes(certificate)
    (fresh / TLS_KEY).write_bytes(key)
    (folder / "..new").symlink_to(fresh.name)
    (folder / "..new").replace(folder / "..data")
    for name in (TLS_CERTIFICATE, TLS_KEY):
        if not (folder / name).is_symlink():
            (folder / "..link").symlink_to(f"..data/{name}")
            (folder / "..link").replace(folder / name)


# --- What callers are offered -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("http2", "version"), [(False, "HTTP/1.1"), (True, "HTTP/2")])
def test_callers_are_answered_over_tls(own: Gateway, http2: bool, version: str) -> None:
    """The certificate that the first start made is good for its address; the protocol is what ALPN agreed on."""
    customer = own.customer()

    answer = ask(own, customer, trusting(own_certificate(own)), http2=http2)

    assert (answer.status_code, answer.http_version) == (200, version)
    assert answer.headers["alt-svc"] == f'h3=":{own.settings.edge.tls_port}"; ma=86400'
    (record,) = own.settled(customer, records=1)
    assert record["usage_source"] == "reported"


def test_callers_are_answered_over_http3(own: Gateway) -> None:
    """A stream over QUIC is whole, and settled by its trailers like every other."""
    customer = own.customer()
    body = json.dumps({**BODY, "stream": True}).encode()
    headers = {"authorization": f"Bearer {customer.key}"}

    status, head, answer = http3.request(own.settings.edge.tls_port, PATH, own_certificate(own), headers, body)

    assert status == 200
    assert answer.endswith(b"data: [DONE]\n\n")
    (record,) = own.settled(customer, records=1)
    assert (record["usage_source"], record["reporter"]) == ("reported", "trailers")
    assert record["request_id"] == head["x-tollgate-request-id"]


def test_nobody_is_told_of_http3_without_tls(own: Gateway, customer: Customer) -> None:
    """What comes over plain HTTP may be anybody's word."""
    answer = HTTP.post(own.url + PATH, json=BODY, headers={"authorization": f"Bearer {customer.key}"})
    assert answer.status_code == 200
    assert "alt-svc" not in answer.headers


REFUSED: dict[str, dict[str, Any]] = {
    "TLS 1.0": {"maximum_version": ssl.TLSVersion.TLSv1},
    "TLS 1.1": {"maximum_version": ssl.TLSVersion.TLSv1_1},
    "no forward secrecy": {"maximum_version": ssl.TLSVersion.TLSv1_2, "ciphers": "AES128-GCM-SHA256"},
    "CBC": {"maximum_version": ssl.TLSVersion.TLSv1_2, "ciphers": "ECDHE-ECDSA-AES128-SHA"},
}


@pytest.mark.parametrize("terms", REFUSED.values(), ids=REFUSED)
def test_what_is_out_of_date_is_refused(own: Gateway, terms: dict[str, Any]) -> None:
    """Old versions, and ciphers without forward secrecy or authentication: the handshake fails."""
    context = trusting(own_certificate(own))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, terms["maximum_version"]
    context.set_ciphers(terms.get("ciphers", "ALL") + ":@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shown(own, context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_is_current_is_accepted(own: Gateway, version: ssl.TLSVersion) -> None:
    """TLS 1.2 and 1.3, with what callers offer by default."""
    context = trusting(own_certificate(own))
    context.minimum_version = context.maximum_version = version
    assert shown(own, context)


def test_the_key_of_the_first_certificate_is_its_owners_alone(own: Gateway) -> None:
    """Nobody else may read it."""
    assert (own.settings.edge.certificates / TLS_KEY).stat().st_mode & 0o077 == 0


def test_the_first_certificate_is_made_once(tmp_path: Path) -> None:
    """The next start finds it, callers need not be told anew; half of one is no reason to write over it."""
    ensure_certificate(tmp_path, "127.0.0.1")
    first = (tmp_path / TLS_CERTIFICATE).read_bytes()
    ensure_certificate(tmp_path, "127.0.0.1")
    assert (tmp_path / TLS_CERTIFICATE).read_bytes() == first
    (tmp_path / TLS_KEY).unlink()
    with pytest.raises(ConfigError, match=r"tls\.key is missing: a certificate and its key go together"):
        ensure_certificate(tmp_path, "127.0.0.1")


# --- What is replaced while it runs -----------------------------------------------------------------------------------


def test_a_replaced_certificate_is_live_without_a_restart(own: Gateway, customer: Customer) -> None:
    """Twice, as Kubernetes replaces it: new connections have it, over QUIC too; a stream on an old one goes on."""
    folder, old = own.settings.edge.certificates, trusting(own_certificate(own))
    script = {"chunks": 3, "pause_at": 1}
    body = {**BODY, "stream": True, "messages": [{"role": "user", "content": f"[[sim {json.dumps(script)}]]"}]}
    with httpx.Client(verify=old, trust_env=False, timeout=60) as client:
        headers = {"authorization": f"Bearer {customer.key}"}
        with client.stream("POST", own.settings.tls_url + PATH, json=body, headers=headers) as stream:
            for _ in range(2):
                content = self_signed("localhost", "127.0.0.1")
                replace_certificate(folder, content)
                expected = ssl.PEM_cert_to_DER_cert(content[0].decode())
                eventually(partial(is_shown, own, expected), "the new certificate")
            HTTP.post(f"{own.simulator_url}/_sim/resume")
            assert stream.read().endswith(b"data: [DONE]\n\n")
    assert ask(own, customer, trusting(own_certificate(own))).status_code == 200
    asked = {"authorization": f"Bearer {customer.key}"}
    assert http3.request(own.settings.edge.tls_port, "/v1/models", own_certificate(own), asked, method="GET")[0] == 200


def test_a_broken_certificate_changes_nothing(own: Gateway, customer: Customer) -> None:
    """A key that is not the certificate's is not taken up: callers are shown the last good one."""
    before = shown(own)
    good = tuple((own.settings.edge.certificates / name).read_bytes() for name in (TLS_CERTIFICATE, TLS_KEY))
    replace_certificate(own.settings.edge.certificates, (self_signed("localhost", "127.0.0.1")[0], good[1]))
    eventually(lambda: "certificate" in own.logs() and rejected(own), "Envoy's refusal")
    assert shown(own) == before
    replace_certificate(own.settings.edge.certificates, (good[0], good[1]))
    assert ask(own, customer, trusting(own_certificate(own))).status_code == 200


def rejected(gateway: Gateway) -> bool:
    """Whether Envoy has refused a certificate."""
    seen = envoy_admin.stats(
        gateway.settings.run / "admin.sock", "sds.certificate.(update_rejected|key_rotation_failed)"
    )
    return any(int(count) for count in seen.values())


# --- Callers' certificates --------------------------------------------------------------------------------------------


def test_callers_without_a_certificate_are_refused_where_they_need_one(tmp_path: Path) -> None:
    """With TOLLGATE_CLIENT_CA and no plain port: none, and one that nobody vouches for, end in the handshake.

    There is no HTTP/3, where none would be asked for.
    """
    for name in ("caller", "stranger"):
        ensure_certificate(tmp_path / name, "127.0.0.1")
    settings = {"TOLLGATE_CLIENT_CA": str(tmp_path / "caller" / TLS_CERTIFICATE)}
    with gateway(CONFIG, tmp_path / "data", workers=1, environment=settings, plain=False) as running:
        customer = running.customer()
        context = trusting(own_certificate(running))
        with pytest.raises(httpx.TransportError):
            ask(running, customer, context)
        context.load_cert_chain(tmp_path / "stranger" / TLS_CERTIFICATE, tmp_path / "stranger" / TLS_KEY)
        with pytest.raises(httpx.TransportError):
            ask(running, customer, context)
        context.load_cert_chain(tmp_path / "caller" / TLS_CERTIFICATE, tmp_path / "caller" / TLS_KEY)
        answer = ask(running, customer, context)
        assert answer.status_code == 200
        assert "alt-svc" not in answer.headers
        assert running.url == running.settings.tls_url
        listening = envoy_admin.ask(running.settings.run / "admin.sock", "/listeners")
        assert {line.partition("::")[0] for line in listening.splitlines()} == {"edge_tls", "gate"}


# --- Vendors ----------------------------------------------------------------------------------------------------------

VENDORS: dict[str, tuple[str, dict[str, Any], int]] = {
    "nobody vouches for it": ("localhost", {}, 503),
    "its certificate is trusted": ("localhost", {"ca_file": "CERTIFICATE"}, 200),
    "by its address": ("127.0.0.1", {"ca_file": "CERTIFICATE"}, 200),
    "it has another name": ("localhost", {"ca_file": "CERTIFICATE OF ANOTHER NAME"}, 503),
    "it has another address": ("127.0.0.2", {"ca_file": "CERTIFICATE"}, 503),
    "nobody is asked": ("localhost", {"insecure_tls": True}, 200),
}


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, list[TlsVendor]]]:
    """A gateway with a channel for each of `VENDORS`. One vendor has the right certificate, one another name's."""
    folder = tmp_path_factory.mktemp("vendors")
    right = TlsVendor(folder / "right", "localhost", "127.0.0.1")
    other = TlsVendor(folder / "other", "other.test")
    for vendor in (right, other):
        threading.Thread(target=vendor.serve_forever, daemon=True).start()
    config = write_vendors(folder / "config", {"CERTIFICATE": right, "CERTIFICATE OF ANOTHER NAME": other})
    with gateway(config, folder / "data", workers=1) as running:
        yield running, [right, other]
    for vendor in (right, other):
        vendor.shutdown()


def write_vendors(folder: Path, vendors: dict[str, TlsVendor]) -> Path:
    """A channel and a group of the same name for each; it goes to the vendor whose certificate it trusts."""
    channels, groups = {}, {}
    for number, (host, terms, _) in enumerate(VENDORS.values()):
        vendor = vendors[str(terms.get("ca_file", "CERTIFICATE"))]
        trust = {**terms, **({"ca_file": str(vendor.certificate)} if "ca_file" in terms else {})}
        url = f"https://{host}:{vendor.port}/v1"
        channels[f"v{number}"] = {"dialect": "openai", "base_url": url, "models": {"chat": None}, **trust}
        groups[f"v{number}"] = {"channels": [{"channel": f"v{number}"}]}
    models = {"chat": {"price": {"input": 1, "output": 1}, "max_output_tokens": 100}}
    folder.mkdir()
    for name, content in (("channels", channels), ("groups", groups), ("models", models)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({name: content}))
    return folder


@pytest.mark.parametrize(
    ("number", "status"), list(enumerate(status for _, _, status in VENDORS.values())), ids=VENDORS
)
def test_a_vendor_is_who_its_certificate_says(
    vendors: tuple[Gateway, list[TlsVendor]], number: int, status: int
) -> None:
    """Whom nobody vouches for, and who has another's name, gets neither a credential nor a prompt; others answer."""
    running, both = vendors
    for vendor in both:
        vendor.bodies.clear()
    customer = running.customer(group=f"v{number}")
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}

    answer = HTTP.post(running.url + PATH, json=body, headers={"authorization": f"Bearer {customer.key}"})

    assert answer.status_code == status
    assert any(vendor.bodies for vendor in both) == (status == 200)
    (record,) = running.settled(customer, records=1)
    assert bool(record["charged_nano"]) == (status == 200)


# --- Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "port", "told"),
    [
        ("127.0.0.1", 8080, []),
        ("0.0.0.0", 0, []),
        ("0.0.0.0", 8080, ["0.0.0.0:8080 is without TLS, and not for this machine alone; --port 0 closes it"]),
    ],
)
async def test_an_open_port_without_tls_is_said(
    monkeypatch: pytest.MonkeyPatch, listen: str, port: int, told: list[str]
) -> None:
    """At every start, where others than this machine may come in by it."""
    monkeypatch.setattr(up, "_redis_notes", AsyncMock(return_value=[]))
    settings = make_settings(Path("config"), Path("/tmp/data"), None, listen=listen, port=port, tls_port=8443)
    assert await up._notes(settings) == told


BAD_SETTINGS = {
    "no port at all": ({}, {"port": 0}, "The gateway has no port"),
    "a name to listen on": ({}, {"listen": "localhost"}, "cannot listen on 'localhost'"),
    "a CA that is not there": ({"TOLLGATE_CLIENT_CA": "/nowhere"}, {}, "TOLLGATE_CLIENT_CA: there is no file"),
    "a port that is none": ({"TOLLGATE_HTTP3_PORT": "70000"}, {}, "TOLLGATE_HTTP3_PORT: '70000' is not a whole number"),
    "a rate of nothing": ({"TOLLGATE_RATE_PER_ADDRESS": "0"}, {}, "TOLLGATE_RATE_PER_ADDRESS: '0' is not a whole"),
    "a collector without a port": ({"TOLLGATE_OTLP": ":4317"}, {}, "TOLLGATE_OTLP: ':4317' is not HOST:PORT"),
    "spans of no request": ({"TOLLGATE_OTLP_PERCENT": "0"}, {}, "TOLLGATE_OTLP_PERCENT: '0' is not a whole number"),
    "a log of another kind": ({"TOLLGATE_ACCESS_LOG": "text"}, {}, "TOLLGATE_ACCESS_LOG: 'text' is not 'json'"),
    "a service without a port": ({"TOLLGATE_RATELIMIT_SERVICE": "host"}, {}, "'host' is not HOST:PORT"),
    "an admin API without TLS": (
        {"TOLLGATE_ADMIN_LISTEN": "0.0.0.0"},
        {"admin_port": 8090},
        "on 0.0.0.0 the admin API needs TLS.*--tls-port",
    ),
    "an admin API on a name": ({"TOLLGATE_ADMIN_LISTEN": "localhost"}, {}, "'localhost' is not an address"),
    "JWTs for anybody": (
        {"TOLLGATE_ADMIN_JWT_ISSUER": "https://id.test", "TOLLGATE_ADMIN_JWKS_FILE": "keys.json"},
        {},
        "TOLLGATE_ADMIN_JWT_AUDIENCE.*go together",
    ),
    "keys that are not there": (
        {
            "TOLLGATE_ADMIN_JWT_ISSUER": "https://id.test",
            "TOLLGATE_ADMIN_JWT_AUDIENCE": "tollgate",
            "TOLLGATE_ADMIN_JWKS_FILE": "/nowhere",
        },
        {},
        "TOLLGATE_ADMIN_JWKS_FILE: /nowhere is not a JWKS",
    ),
}


@pytest.mark.parametrize(("environment", "arguments", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], arguments: dict[str, Any], message: str
) -> None:
    """Each is refused by its name, before anything is started."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        make_settings(Path("config"), Path("/tmp/data"), None, **arguments)
