"""Every way a request can end, on the real Envoy: what the caller sees, and what it costs them."""

import socket
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from extproc.core.money import format_usd
from extproc.core.quote import BYTES_PER_INPUT_TOKEN
from tests.e2e.calls import FORMS, STREAMS, Reading, Script, call, headers, price_nano, prompt, read_stream
from tests.e2e.harness import Customer, Gateway, eventually

USAGE = {"input": 40, "cached": 11, "cache_write": 5, "output": 9, "reasoning": 2}
EMBEDDINGS = ("embeddings", "gem-embed")
EMBEDDING_NANO = 500


@dataclass(frozen=True, slots=True)
class Ending:
    """What happens, and what must follow from it. `charged`: usage, delivered or nothing."""

    form: str
    script: Script
    status: int
    state: str
    charged: str
    cut: bool = False
    group: str = "default"


ENDINGS: dict[str, Ending] = {
    **{f"clean {form}": Ending(form, {"usage": USAGE}, 200, "REPORTED", "usage") for form in FORMS},
    **{
        f"vendor resets {form} after 3 chunks": Ending(
            form, {"usage": USAGE, "chunks": 9, "delay_ms": 20, "reset_after": 3}, 200, "PARTIAL", "delivered", cut=True
        )
        for form in STREAMS
    },
    **{
        f"vendor closes {form} after 3 chunks": Ending(
            form, {"usage": USAGE, "chunks": 9, "close_after": 3}, 200, "PARTIAL", "delivered", cut=True
        )
        for form in STREAMS
    },
    **{
        f"vendor resets {form} in the middle": Ending(
            form, {"reset_after": 1, "body_bytes": 4000}, 200, "PARTIAL", "delivered", cut=True
        )
        for form in ("chat", "responses", "messages", "generate")
    },
    **{  # held back until they are whole, so the caller has got nothing of them
        f"vendor resets {form} in the middle": Ending(
            form, {"reset_after": 1, "body_bytes": 4000}, 502, "RELEASED", "nothing"
        )
        for form in ("embeddings", "gem-embed")
    },
    **{
        f"{form} without usage": Ending(form, {"no_usage": True}, 200, "ESTIMATED", "delivered")
        for form in FORMS
        if form != "gem-embed"
    },
    "no usage, and a long answer": Ending("chat", {"no_usage": True, "chunks": 5000}, 200, "ESTIMATED", "delivered"),
    **{f"vendor answers 400 to {form}": Ending(form, {"status": 400}, 400, "RELEASED", "nothing") for form in FORMS},
    "vendor answers 401": Ending("chat", {"status": 401}, 401, "RELEASED", "nothing"),
    "vendor answers 404": Ending("messages", {"status": 404}, 404, "RELEASED", "nothing"),
    "every vendor answers 429": Ending("chat", {}, 429, "RELEASED", "nothing", group="ends-busy"),
    "every vendor answers 500": Ending("chat", {}, 500, "RELEASED", "nothing", group="ends-500"),
    "every vendor answers 503": Ending("chat stream", {}, 503, "RELEASED", "nothing", group="ends-503"),
    "every vendor resets": Ending("chat", {}, 503, "RELEASED", "nothing", group="only-resets"),
    "every vendor hangs up": Ending("chat", {}, 503, "RELEASED", "nothing", group="only-hangs-up"),
    "every vendor refuses": Ending("chat stream", {}, 503, "RELEASED", "nothing", group="only-refuses"),
    "all kinds of dead vendors": Ending("chat", {}, 503, "RELEASED", "nothing", group="all-dead"),
    "vendor answers 200 with nothing": Ending("chat", {}, 200, "ESTIMATED", "delivered", group="only-empty"),
}


LAST_EVENT = {
    "chat stream": b"[DONE]",
    "responses stream": b'"type":"response.completed"',
    "messages stream": b'"type":"message_stop"',
    "generate stream": b'"finishReason"',
}


@dataclass(slots=True)
class Books:
    """What each customer of this module had been charged when their test ended."""

    closed: dict[Customer, list[dict[str, Any]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def books() -> Books:
    """Kept until the last test of the module."""
    return Books()


def _vendor_usage(gateway: Gateway) -> dict[str, int]:
    (received,) = gateway.received()
    usage: dict[str, int] = received["usage"]
    return usage


def _delivered(gateway: Gateway, form: str, script: Script, record: dict[str, Any], words: int) -> dict[str, int]:
    """The usage of a cut or silent answer with so many words, checked: its output leans to the caller.

    Anthropic tells its input first, Gemini with every event; of the others the size of what was asked is all there is.
    """
    names = {"input": "input", "cached": "cache_read", "cache_write": "cache_write"}
    names |= {"output": "output", "reasoning": "reasoning"}
    usage = {name: int(record["usage"][f"{ours}_tokens"]) for name, ours in names.items()}
    told = {"messages stream": ("input", "cached", "cache_write"), "generate stream": ("input", "cached")}
    if form in told and not script.get("no_usage"):
        vendors = _vendor_usage(gateway)
        assert [usage[name] for name in told[form]] == [vendors[name] for name in told[form]]
    else:
        assert usage["input"] <= -(-len(FORMS[form].encode(prompt(script))) // BYTES_PER_INPUT_TOKEN)
        assert usage["cached"] == usage["cache_write"] == 0
    assert usage["output"] - usage["reasoning"] <= (0 if form in EMBEDDINGS else words)
    assert usage["reasoning"] == (_vendor_usage(gateway)["reasoning"] if form == "generate stream" else 0)
    return usage


def _nano(form: str, usage: dict[str, int]) -> int:
    return EMBEDDING_NANO * usage["input"] if form in EMBEDDINGS else price_nano(usage)


def _expected_nano(gateway: Gateway, ending: Ending, record: dict[str, Any], words: int) -> int:
    match ending.charged:
        case "usage":
            return _nano(ending.form, _vendor_usage(gateway))
        case "delivered":
            exact = _nano(ending.form, _delivered(gateway, ending.form, ending.script, record, words))
            return min(exact, int(record["hold_nano"]))
        case _:
            return 0


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_ending(chains: Gateway, books: Books, ending: Ending) -> None:
    """The caller gets what the vendor sent; the charge is exact; nothing stays held; one entry tells it."""
    customer = chains.customer(group=ending.group)
    chains.forget_received()

    reading = read_stream(chains, customer, ending.form, ending.script, Reading())

    (record,) = books.closed[customer] = chains.settled(customer, records=1)
    assert (reading.status, reading.cut, record["state"]) == (ending.status, ending.cut, ending.state)
    assert record["charged_nano"] == _expected_nano(chains, ending, record, len(set(reading.words)))
    assert record["usage_source"] == ("none" if ending.charged == "nothing" else ending.state.lower())
    assert record["request_id"] == reading.request_id
    assert record["status"] == ending.status
    assert record["reporter"] in (("trailers", "access_log") if ending.charged == "usage" else ("access_log",))
    assert chains.key_account(customer).used_nano == record["charged_nano"]
    assert chains.key_account(customer).held_nano == 0


@pytest.mark.parametrize("form", STREAMS)
def test_client_gone_in_the_stream(chains: Gateway, books: Books, form: str) -> None:
    """A caller who leaves pays for what was delivered: Anthropic's input as counted, at most the hold."""
    customer = chains.customer()
    chains.forget_received()
    script = {"usage": USAGE, "chunks": 100, "delay_ms": 50}
    body, reading = FORMS[form].encode(prompt(script)), Reading()
    sent = headers(FORMS[form], customer.key)
    with httpx.stream("POST", chains.url + FORMS[form].path, headers=sent, content=body, timeout=60) as answer:
        for piece in answer.iter_raw():
            reading.received += piece
            if b"w1" in reading.received:
                break

    (record,) = books.closed[customer] = chains.settled(customer, records=1)
    assert (record["state"], record["usage_source"], record["reporter"]) == ("PARTIAL", "partial", "access_log")
    eventually(lambda: chains.received()[0]["ended"] == "client_gone", "the vendor's stream to be closed")
    exact = price_nano(_delivered(chains, form, script, record, chains.received()[0]["chunks"]))
    assert record["charged_nano"] == min(exact, record["hold_nano"])


@pytest.mark.parametrize("form", STREAMS)
def test_client_gone_with_the_last_event(chains: Gateway, books: Books, form: str) -> None:
    """Who has had the last event, and leaves before the message's own end, as SDKs do, pays what the vendor counted."""
    customer = chains.customer()
    chains.forget_received()
    usage = {"input": 40, "cached": 11, "output": 9}
    body = FORMS[form].encode(prompt({"usage": usage, "pause_at": 99}))
    sent, received = headers(FORMS[form], customer.key), b""
    with httpx.stream("POST", chains.url + FORMS[form].path, headers=sent, content=body, timeout=60) as answer:
        for piece in answer.iter_raw():
            received += piece
            if LAST_EVENT[form] in received:
                break

    (record,) = books.closed[customer] = chains.settled(customer, records=1)
    assert record["charged_nano"] == price_nano(_vendor_usage(chains))
    state = "PARTIAL" if form == "generate stream" else "REPORTED"
    assert (record["state"], record["reporter"]) == (state, "access_log")


@pytest.mark.parametrize("form", FORMS)
def test_client_gone_before_the_first_byte(chains: Gateway, books: Books, form: str) -> None:
    """A caller who leaves before the vendor has answered pays nothing."""
    customer = chains.customer()
    chains.forget_received()
    body = FORMS[form].encode(prompt({"first_delay_ms": 60_000}))
    sent = {**headers(FORMS[form], customer.key), "host": "tollgate", "content-length": str(len(body))}
    lines = [f"POST {FORMS[form].path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    with socket.create_connection(("127.0.0.1", chains.settings.edge.port)) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        eventually(chains.received, "the vendor to be asked")

    (record,) = books.closed[customer] = chains.settled(customer, records=1)
    assert (record["state"], record["charged_nano"], record["reporter"]) == ("RELEASED", 0, "access_log")


def test_vendors_400_arrives_unchanged(chains: Gateway, books: Books) -> None:
    """The vendor's own error body reaches the caller byte for byte, with our request id beside it."""
    customer = chains.customer()
    answer = call(chains, customer, "chat", {"status": 400})
    straight = httpx.post(
        f"{chains.simulator_url}/a/v1/chat/completions", content=FORMS["chat"].encode(prompt({"status": 400}))
    )
    assert answer.status_code == straight.status_code == 400
    assert answer.content == straight.content
    assert answer.headers["content-type"] == straight.headers["content-type"]
    assert answer.headers["x-tollgate-request-id"]
    books.closed[customer] = chains.settled(customer, records=1)


@pytest.mark.parametrize("group", ["only-resets", "only-refuses", "only-unresolvable", "only-hangs-up", "all-dead"])
def test_a_chain_without_an_answer_says_so(chains: Gateway, books: Books, group: str) -> None:
    """503 with Retry-After, in the caller's dialect, saying that nothing was charged; no word of Envoy's insides."""
    customer = chains.customer(group=group)
    answer = call(chains, customer, "chat")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["error"]["code"] == "service_unavailable"
    assert "Nothing was charged" in answer.json()["error"]["message"]
    assert "upstream" not in answer.text.replace("No upstream could answer", "")
    books.closed[customer] = chains.settled(customer, records=1)
    assert chains.wallet(customer).used_nano == 0


@pytest.mark.parametrize(
    ("status", "form", "body"),
    [
        (400, "chat", b"not JSON"),
        (400, "messages", b'{"messages": []}'),
        (404, "chat", b'{"model": "unknown", "messages": []}'),
        (404, "generate", b'{"contents": []}'),
    ],
)
def test_our_own_refusal_holds_nothing(chains: Gateway, status: int, form: str, body: bytes) -> None:
    """What we refuse ourselves never reaches a vendor and leaves no entry."""
    customer = chains.customer(group="spread")
    chains.forget_received()
    answer = httpx.post(chains.url + FORMS[form].path, headers=headers(FORMS[form], customer.key), content=body)
    after = call(chains, customer, "chat")
    assert (answer.status_code, after.status_code) == (status, 200)
    assert answer.headers["x-tollgate-request-id"]
    (record,) = chains.settled(customer, records=1)
    assert record["request_id"] == after.headers["x-tollgate-request-id"]
    assert len(chains.received()) == 1


def test_usage_above_the_hold(chains: Gateway, books: Books) -> None:
    """An overrun is charged in full, takes what is available below zero, and so refuses the next call with 402."""
    probe = chains.customer()
    call(chains, probe, "chat", {"usage": {"output": 4000}})
    (record,) = chains.settled(probe, records=1)
    customer = chains.customer(usd=f"{record['hold_nano'] / 1e9:.9f}")

    first = call(chains, customer, "chat", {"usage": {"output": 4000}})
    (overrun,) = books.closed[customer] = chains.settled(customer, records=1)
    second = call(chains, customer, "chat")

    assert first.status_code == 200
    assert overrun["charged_nano"] == 2 * 1000 + 4000 * 5000 > overrun["hold_nano"] == record["hold_nano"]
    available = chains.wallet(customer).available_nano
    assert available is not None
    assert available == record["hold_nano"] - overrun["charged_nano"]
    assert available < 0
    assert second.status_code == 402
    assert second.json()["error"]["code"] == "insufficient_quota"
    assert format_usd(available) in second.json()["error"]["message"]


def test_no_report_came_later(chains: Gateway, books: Books) -> None:
    """Trailers and access log told the same: no entry was added to those of the tests before."""
    for customer, entries in books.closed.items():
        assert chains.usage(customer) == entries
        assert chains.wallet(customer).held_nano == 0
    assert "report_refused" not in chains.logs()
