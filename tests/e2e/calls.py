"""What a caller sends in each API, as bytes on the wire: tests of ends and faults need more than an SDK shows."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.e2e.harness import Customer, Gateway

TIMEOUT_SECONDS = 60.0
CAP = 50
"""The output tokens that every call allows, so that a hold is small."""

Script = Mapping[str, Any]


def _said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@dataclass(frozen=True, slots=True)
class Form:
    """One API: where it is, in which header its callers put the key, and what stands around the prompt (`PROMPT`)."""

    path: str
    header: str
    body: Mapping[str, Any]
    stream: bool = False

    def encode(self, prompt: str) -> bytes:
        """The body with this prompt."""
        return json.dumps(self.body).replace("PROMPT", json.dumps(prompt)[1:-1]).encode()


_CHAT = {"model": "chat", "messages": _said("PROMPT"), "max_tokens": CAP}
_RESPONSES = {"model": "chat", "input": "PROMPT", "max_output_tokens": CAP}
_MESSAGES = {"model": "claude", "messages": _said("PROMPT"), "max_tokens": CAP}
_GENERATE = {"contents": [{"parts": [{"text": "PROMPT"}]}], "generationConfig": {"maxOutputTokens": CAP}}
_EMBED = {"content": {"parts": [{"text": "PROMPT"}]}}

FORMS = {
    "chat": Form("/v1/chat/completions", "authorization", _CHAT),
    "chat stream": Form("/v1/chat/completions", "authorization", {**_CHAT, "stream": True}, True),
    "responses": Form("/v1/responses", "authorization", _RESPONSES),
    "responses stream": Form("/v1/responses", "authorization", {**_RESPONSES, "stream": True}, True),
    "messages": Form("/v1/messages", "x-api-key", _MESSAGES),
    "messages stream": Form("/v1/messages", "x-api-key", {**_MESSAGES, "stream": True}, True),
    "generate": Form("/v1beta/models/gem:generateContent", "x-goog-api-key", _GENERATE),
    "generate stream": Form("/v1beta/models/gem:streamGenerateContent?alt=sse", "x-goog-api-key", _GENERATE, True),
    "embeddings": Form("/v1/embeddings", "authorization", {"model": "embed", "input": "PROMPT"}),
    "gem-embed": Form("/v1beta/models/gem-embed:embedContent", "x-goog-api-key", _EMBED),
}
STREAMS = [name for name, form in FORMS.items() if form.stream]


def prompt(script: Script) -> str:
    """Two words and what the simulator is to do."""
    return f"Hello you [[sim {json.dumps(script)}]]" if script else "Hello you"


def headers(form: Form, key: str) -> dict[str, str]:
    """The key where this API has it."""
    value = f"Bearer {key}" if form.header == "authorization" else key
    return {form.header: value, "content-type": "application/json"}


def call(
    gateway: Gateway,
    customer: Customer,
    form_name: str,
    script: Script | None = None,
    *,
    extra: Mapping[str, str] | None = None,
) -> httpx.Response:
    """One call, read to its end; `extra` are further headers."""
    form = FORMS[form_name]
    sent = {**headers(form, customer.key), **(extra or {})}
    body = form.encode(prompt(script or {}))
    return httpx.post(gateway.url + form.path, headers=sent, content=body, timeout=TIMEOUT_SECONDS)


@dataclass(slots=True)
class Reading:
    """A stream that a thread of its own reads: `begun` when text has come, `cut` when it broke off."""

    request_id: str = ""
    status: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    received: bytes = b""
    cut: bool = False

    @property
    def words(self) -> list[str]:
        """The words of the text that came."""
        return re.findall(r"\bw\d+\b", self.received.decode())


def read_stream(gateway: Gateway, customer: Customer, form_name: str, script: Script, reading: Reading) -> Reading:
    """Read a stream to its end, or until it breaks off."""
    form = FORMS[form_name]
    body = form.encode(prompt(script))
    try:
        with httpx.stream(
            "POST",
            gateway.url + form.path,
            headers=headers(form, customer.key),
            content=body,
            timeout=TIMEOUT_SECONDS,
        ) as answer:
            reading.status, reading.request_id = answer.status_code, answer.headers["x-tollgate-request-id"]
            for piece in answer.iter_raw():
                reading.received += piece
                if b"w0" in reading.received:
                    reading.begun.set()
    except httpx.TransportError:
        reading.cut = True
    reading.begun.set()
    return reading


@contextmanager
def streams_running(
    gateway: Gateway, customer: Customer, count: int, script: Script, form_name: str = "chat stream"
) -> Iterator[list[Reading]]:
    """So many streams, all begun; at the end of the block they are read to their end."""
    readings = [Reading() for _ in range(count)]
    threads = [
        threading.Thread(target=read_stream, args=(gateway, customer, form_name, script, reading))
        for reading in readings
    ]
    for thread in threads:
        thread.start()
    try:
        for reading in readings:
            assert reading.begun.wait(TIMEOUT_SECONDS)
        yield readings
    finally:
        for thread in threads:
            thread.join(TIMEOUT_SECONDS)


def price_nano(usage: Mapping[str, int]) -> int:
    """What the models of `config/` cost for the tokens that the simulator says it produced, each class at its price."""
    uncached = usage["input"] - usage["cached"] - usage["cache_write"]
    plain = usage["output"] - usage["reasoning"]
    return (
        1000 * uncached + 100 * usage["cached"] + 1250 * usage["cache_write"] + 5000 * plain + 7000 * usage["reasoning"]
    )
