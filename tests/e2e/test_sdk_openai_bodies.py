"""What reaches the vendor of an OpenAI request: every byte, and the option that makes a stream tell its usage."""

import json
from typing import Any

import httpx
import httpx2
import pytest
from openai import OpenAI

from tests.e2e.bills import PriceList, scripted
from tests.e2e.harness import HTTP, Customer, Gateway

MODEL = "gpt-5-mini"
INJECTED = b',"stream_options":{"include_usage":true}}'


def asked_stream(demo: Gateway, customer: Customer, **more: Any) -> tuple[bytes, list[Any]]:
    """The bytes that the SDK sent for a stream, and the chunks it got."""
    sent: list[bytes] = []
    hooks = {"request": [lambda request: sent.append(request.content)]}
    client = OpenAI(
        base_url=f"{demo.url}/v1", api_key=customer.key, http_client=httpx2.Client(event_hooks=hooks, verify=False)
    )
    messages: Any = [{"role": "user", "content": scripted("Grüße 🚕 日本", usage={"input": 41, "output": 43})}]
    chunks = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True, **more))
    return sent[0], chunks


def post(demo: Gateway, customer: Customer, body: bytes) -> httpx.Response:
    """A chat request with exactly these bytes."""
    headers = {"authorization": f"Bearer {customer.key}", "content-type": "application/json"}
    return HTTP.post(f"{demo.url}/v1/chat/completions", content=body, headers=headers, timeout=60)


def received_body(demo: Gateway) -> bytes:
    """The body of the one request that the vendor received."""
    (request,) = demo.received()
    body: str = request["body"]
    return body.encode()


def test_a_stream_that_asked_for_its_usage_is_forwarded_byte_for_byte(demo: Gateway) -> None:
    """With include_usage asked the vendor receives the caller's bytes, and the caller gets the usage chunk."""
    demo.forget_received()
    customer = demo.customer()

    sent, chunks = asked_stream(demo, customer, stream_options={"include_usage": True})

    assert received_body(demo) == sent
    assert chunks[-1].usage.completion_tokens == 43
    (record,) = demo.settled(customer, records=1)
    assert record["charged_nano"] == 41 * 250 + 43 * 2000


def test_a_stream_that_did_not_ask_is_made_to_tell_its_usage(demo: Gateway) -> None:
    """Without it the vendor receives the caller's bytes and the option after them; the charge is the vendor's usage."""
    demo.forget_received()
    customer = demo.customer()

    sent, chunks = asked_stream(demo, customer)

    assert b"stream_options" not in sent
    assert received_body(demo) == sent[:-1] + INJECTED
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "w0 w1 w2 w3 w4"
    (record,) = demo.settled(customer, records=1)
    assert record["charged_nano"] == 41 * 250 + 43 * 2000


@pytest.mark.parametrize(
    ("options", "vendor_gets"),
    [
        (b"null", {"include_usage": True}),
        (b"{}", {"include_usage": True}),
        (b'{"include_usage":false}', {"include_usage": True}),
        (b'{"include_usage":null,"include_obfuscation":false}', {"include_usage": True, "include_obfuscation": False}),
        (b'{"include_usage":false},"stream_options":{"include_usage":false}', {"include_usage": True}),
    ],
)
def test_no_wording_of_the_options_hides_the_usage(demo: Gateway, options: bytes, vendor_gets: dict[str, bool]) -> None:
    """However a caller declines the usage of a stream, also twice, the vendor is asked for it, and it is charged."""
    demo.forget_received()
    customer = demo.customer()
    prompt = json.dumps(scripted(usage={"input": 41, "output": 43})).encode()
    body = b'{"model":"%b","stream":true,"stream_options":%b,"messages":[{"role":"user","content":%b}]}'

    answer = post(demo, customer, body % (MODEL.encode(), options, prompt))

    assert answer.status_code == 200
    forwarded = received_body(demo)
    assert json.loads(forwarded)["stream_options"] == vendor_gets
    assert forwarded.count(b'"stream_options"') == 1
    (record,) = demo.settled(customer, records=1)
    assert record["charged_nano"] == 41 * 250 + 43 * 2000


CONTENTS = [
    pytest.param('"Gr\u00fc\u00dfe \U0001f695 \u65e5\u672c \u0000"'.replace("\x00", "\\u0000"), id="utf-8"),
    pytest.param(r'"Gr\u00fc\u00dfe \ud83d\ude95 \/ \b \u0000"', id="escapes"),
    pytest.param(r'"a \"quote\", a }] and a \\"', id="JSON inside"),
    pytest.param(
        '[ {"text" : "spaced" ,"type":"text"},\n\t{"type":"text","text":"twice","text":"named"} ]', id="layout"
    ),
    pytest.param('"1e400", "weight": 1e400, "big": 123456789012345678901234567890.10', id="numbers"),
]


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_what_the_caller_wrote_is_not_written_anew(demo: Gateway, content: str, stream: bool) -> None:
    """Unicode, surrogate escapes, layout and odd numbers inside a message reach the vendor as they were sent."""
    demo.forget_received()
    said = '"stream":true,' if stream else ""
    body = f'{{"model":"{MODEL}",{said}"messages":[{{"role":"user","content":{content}}}]}}'

    post(demo, demo.customer(), body.encode())

    assert received_body(demo) == (body.encode()[:-1] + INJECTED if stream else body.encode())


@pytest.mark.parametrize("size", [200_000, 5_000_000])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_a_long_prompt_arrives_whole_and_is_charged(demo: Gateway, size: int, stream: bool) -> None:
    """200 KB and 5 MB of prompt: the vendor receives every byte and counts every word, which is what is charged."""
    demo.forget_received()
    customer = demo.customer()
    prompt = "wörd " * (size // 6)
    body = json.dumps(
        {"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": prompt}]}, separators=(",", ":")
    )

    answer = post(demo, customer, body.encode())

    assert answer.status_code == 200
    (request,) = demo.received()
    assert request["body_bytes"] == len(body) + stream * (len(INJECTED) - 1)
    usage = {"input": size // 6, "output": 5}
    (record,) = demo.settled(customer, records=1)
    assert record["charged_nano"] == PriceList.of(demo.settings.config).nano(MODEL, usage)
