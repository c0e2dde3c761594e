"""Does a gateway answer rightly? Asked before it is measured: a fast wrong answer is none."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from tests.bench.load import Timing
from tests.bench.peers.load import Ask
from tests.bench.peers.measure import Peer
from tests.e2e.harness import HTTP

DATA = "data: "


@dataclass(frozen=True, slots=True)
class Answer:
    """What must come through a gateway as the vendor said it. `events` have text, None for an answer in one piece."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    events: int | None


def answer(peer: Peer, ask: Ask) -> Answer:
    """The peer's answer. Raises `AssertionError` when it is none, or its stream lacks its end."""
    response = _asked(peer, ask, peer.headers)
    assert response.status_code == HTTPStatus.OK, f"{peer.name}, {ask.name}: {response.status_code} {response.text}"
    peer.posted.append(Timing(requests=1, seconds=0, p50_us=0, p99_us=0, errors=0))  # it is charged as well
    return _whole(response) if ask.shape.chunks is None else _streamed(response)


def check(peer: Peer, ask: Ask, expected: Answer) -> None:
    """Raises `AssertionError` when the peer answers anything but this, or answers whoever has no key of its own."""
    found = answer(peer, ask)
    assert found == expected, f"{peer.name}, {ask.name}: {found}, not {expected}"
    if peer.checks_keys:
        refused = _asked(peer, ask, {**peer.headers, "authorization": "Bearer sk-nobody-made-this"})
        assert refused.is_client_error, f"{peer.name} answers a key that nobody made: {refused.status_code}"


def _asked(peer: Peer, ask: Ask, headers: Any) -> httpx.Response:
    return HTTP.post(peer.url, content=ask.body(peer.model), headers=headers)


def _whole(response: httpx.Response) -> Answer:
    body = response.json()
    choice, usage = body["choices"][0], body["usage"]
    return Answer(
        choice["message"]["content"],
        choice["finish_reason"],
        usage["prompt_tokens"],
        usage["completion_tokens"],
        None,
    )


def _streamed(response: httpx.Response) -> Answer:
    events = [line.removeprefix(DATA) for line in response.text.splitlines() if line.startswith(DATA)]
    assert events[-1:] == ["[DONE]"], f"the stream lacks its end: {response.text[-200:]}"
    chunks = [msgspec.json.decode(event) for event in events[:-1]]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    texts = [text for choice in choices if (text := choice["delta"].get("content"))]
    reasons = [reason for choice in choices if (reason := choice.get("finish_reason"))]
    usages = [usage for chunk in chunks if (usage := chunk.get("usage"))]
    assert len(reasons) == len(usages) == 1, f"{len(reasons)} finish reasons and {len(usages)} usages in a stream"
    return Answer("".join(texts), reasons[0], usages[0]["prompt_tokens"], usages[0]["completion_tokens"], len(texts))
