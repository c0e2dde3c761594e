"""Spans: what a collector is told of a request and of each attempt, in OpenTelemetry's words, and what it never is."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.calls import FORMS, Reading, headers, prompt, read_stream
from tests.e2e.chains import CHAINS
from tests.e2e.collector import CALL, REQUEST, Collector, Span
from tests.e2e.harness import HTTP, Customer, Gateway, eventually, gateway

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text()
OURS = ("gen_ai.", "tollgate.", "server.", "error.type", "http.status_code")
"""How the attributes begin that are compared one by one; the others are Envoy's own."""

SAID = "canary-prompt-51c7d0"
ANSWER_BYTES = 61
ANSWER = "w2" + "x" * (ANSWER_BYTES - 2)
CALLERS_TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLERS_OWN = {
    "traceparent": f"00-{CALLERS_TRACE}-b7ad6b7169203331-00",
    "tracestate": "congo=t61rcWkgMzE",
    "baggage": "user=alice",
    "x-client-trace-id": "forced",
}

CALLS: dict[str, tuple[str, str, str]] = {
    "unary": ("chat", "default", "10"),
    "streamed": ("chat stream", "default", "10"),
    "anthropic": ("messages stream", "default", "10"),
    "gemini": ("generate", "default", "10"),
    "embeddings": ("embeddings", "default", "10"),
    "failover": ("chat", "fails-500-then-b", "10"),
    "reset": ("chat", "resets-then-b", "10"),
    "saturated": ("chat", "busy-everywhere", "10"),
    "poor": ("chat", "default", "0"),
}
"""By name: which call, in which group, with how much in the wallet."""


GATED = "claude-a"
"""The channel that is asked through the gate, which hides the vendor's port."""

CHANNELS = {"a", "b", "claude-a", "gem-a", "busy", "fails-500", "resets"}


def few_channels(folder: Path) -> Path:
    """The configuration of the chains, as far as it is needed here, and without credentials.

    For each of them Envoy has an inotify instance, of which Linux by default gives a user 128.
    """
    shutil.copytree(CHAINS, folder)
    channels, groups = (yaml.safe_load((CHAINS / f"{name}.yaml").read_text()) for name in ("channels", "groups"))
    kept = {name: channel for name, channel in channels["channels"].items() if name in CHANNELS}
    for channel in kept.values():
        del channel["credential"]
    kept[GATED]["max_concurrent"] = 9
    wanted = {group for _, group, _ in CALLS.values()}
    for group in wanted:
        used = groups["groups"][group]["channels"]
        groups["groups"][group]["channels"] = [each for each in used if each["channel"] in CHANNELS]
    (folder / "channels.yaml").write_text(yaml.safe_dump({"channels": kept}))
    (folder / "groups.yaml").write_text(yaml.safe_dump({"groups": {name: groups["groups"][name] for name in wanted}}))
    return folder


@dataclass(frozen=True, slots=True)
class Traced:
    """What was asked, and all that the collector was told of it."""

    gateway: Gateway
    collector: Collector
    customers: Mapping[str, Customer]
    ids: Mapping[str, str]

    def request(self, name: str) -> Span:
        """The span of a request as a whole."""
        (found,) = self._of(name, REQUEST)
        return found

    def attempts(self, name: str) -> list[Span]:
        """The spans of its attempts, in order."""
        asked = [span for span in self._of(name, CALL) if "tollgate.attempt" in span.attributes]
        return sorted(asked, key=lambda span: span.attributes["tollgate.attempt"])

    def _of(self, name: str, kind: int) -> list[Span]:
        traces = {s.trace for s in self.collector.spans if s.attributes.get("tollgate.request_id") == self.ids[name]}
        return [span for span in self.collector.spans if span.trace in traces and span.kind == kind]


def send(running: Gateway, form_name: str, key: str, extra: Mapping[str, str]) -> httpx.Response:
    """One call with the canary in it."""
    form = FORMS[form_name]
    said = SAID if form_name == "embeddings" else SAID + prompt({"chunks": 4, "word_bytes": ANSWER_BYTES})
    return HTTP.post(running.url + form.path, content=form.encode(said), headers={**headers(form, key), **extra})


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A gateway that was asked in every way, and a collector that was told."""
    collector = Collector()
    collector.start()
    told = {
        "TOLLGATE_OTLP": f"127.0.0.1:{collector.port}",
        "TOLLGATE_ACCESS_LOG": "json",
        "TOLLGATE_RATE_PER_ADDRESS_ADMIN": "1",
    }
    folder = tmp_path_factory.mktemp("traced")
    with gateway(few_channels(folder / "config"), folder / "data", environment=told) as running:
        customers = {name: running.customer(usd, group) for name, (_, group, usd) in CALLS.items()}
        answers = {name: send(running, call, customers[name].key, CALLERS_OWN) for name, (call, *_) in CALLS.items()}
        answers["keyless"] = HTTP.post(f"{running.url}/v1/messages?key=sk-canary-of-a-key&x=1", content=b"{}")
        answers["nowhere"] = HTTP.post(f"{running.url}/v1/nothing/sk-canary-of-a-key", content=b"{}")
        key = customers["gemini"].key
        body = FORMS["generate"].encode(SAID)
        answers["query"] = HTTP.post(f"{running.url}{FORMS['generate'].path}?key={key}", content=body)
        flood = [HTTP.post(f"{running.url}/admin/anything", content=b"{}") for _ in range(2)]
        answers["flooded"] = flood[-1]
        ids = {name: answer.headers["x-tollgate-request-id"] for name, answer in answers.items()}
        script = {"chunks": 9, "reset_after": 3, "word_bytes": ANSWER_BYTES}
        ids["cut"] = read_stream(running, customers["streamed"], "messages stream", script, Reading()).request_id
        found = Traced(running, collector, customers, ids)
        eventually(lambda: all(found._of(name, REQUEST) for name in ids), "a span of each request")
        assert ANSWER in answers["unary"].text
        yield found
    collector.stop()


def ours(span: Span) -> dict[str, str | int]:
    """The attributes that are ours to promise."""
    return {name: value for name, value in span.attributes.items() if name.startswith(OURS)}


def whose(traced: Traced, name: str) -> dict[str, str | int]:
    """What every span says of a request whose key is known."""
    _, group, _ = CALLS[name]
    prefix = traced.customers[name].key[:10]
    return {"tollgate.request_id": traced.ids[name], "tollgate.group": group, "tollgate.key_prefix": prefix}


def at(traced: Traced, channel: str, attempt: int, host: str = "127.0.0.1") -> dict[str, str | int]:
    """What a span says of the channel that was asked."""
    port: dict[str, str | int] = {} if channel == GATED else {"server.port": traced.gateway.settings.demo_port}
    return {"tollgate.channel": channel, "tollgate.attempt": attempt, "server.address": host, **port}


def gen_ai(operation: str, provider: str, model: str = "") -> dict[str, str | int]:
    """The identity of a call in the words of the GenAI conventions."""
    named = {"gen_ai.request.model": model} if model else {}
    return {"gen_ai.operation.name": operation, "gen_ai.provider.name": provider, **named}


FIRST = {
    "unary": (gen_ai("chat", "openai", "chat"), "a"),
    "streamed": (gen_ai("chat", "openai", "chat"), "a"),
    "anthropic": (gen_ai("chat", "anthropic", "claude"), "claude-a"),
    "gemini": (gen_ai("generate_content", "gcp.gemini", "gem"), "gem-a"),
}


@pytest.mark.parametrize("name", FIRST)
def test_an_answered_request(traced: Traced, name: str) -> None:
    """Its span says who asked which model, who answered, and the tokens; that of its attempt all but the tokens."""
    call, channel = FIRST[name]
    model = str(call["gen_ai.request.model"])
    asked = {**whose(traced, name), **at(traced, channel, 1), **call, "http.status_code": "200"}
    used = {"gen_ai.response.model": model, "gen_ai.usage.input_tokens": 2, "gen_ai.usage.output_tokens": 4}
    request, (attempt,) = traced.request(name), traced.attempts(name)
    assert ours(request) == {**asked, **used}
    assert ours(attempt) == asked
    assert (request.name, attempt.name) == (f"{call['gen_ai.operation.name']} {model}", f"attempt {channel}")


def test_tokens_that_are_lifted(traced: Traced) -> None:
    """Of an answer that Envoy's own reader of usage leaves alone, the lifted numbers; with no word of an output."""
    call = gen_ai("embeddings", "openai", "embed")
    asked = {**whose(traced, "embeddings"), **at(traced, "a", 1), **call, "http.status_code": "200"}
    assert ours(traced.request("embeddings")) == {**asked, "gen_ai.usage.input_tokens": 1}
    assert [ours(attempt) for attempt in traced.attempts("embeddings")] == [asked]


@pytest.mark.parametrize(("name", "channel", "status"), [("failover", "fails-500", "500"), ("reset", "resets", "0")])
def test_a_failover(traced: Traced, name: str, channel: str, status: str) -> None:
    """Each attempt has a span below that of the request, the failed one with its status; the request has no error."""
    request, (failed, answered) = traced.request(name), traced.attempts(name)
    shared = {**whose(traced, name), **gen_ai("chat", "openai", "chat")}
    assert ours(failed) == {**shared, **at(traced, channel, 1), "http.status_code": status, "error.type": "_OTHER"}
    assert ours(answered) == {**shared, **at(traced, "b", 2, "localhost"), "http.status_code": "200"}
    assert ours(request).items() >= {**shared, **at(traced, "b", 2, "localhost"), "http.status_code": "200"}.items()
    assert "error.type" not in request.attributes
    assert {attempt.parent for attempt in (failed, answered)} == {request.id}


def test_a_saturated_group(traced: Traced) -> None:
    """A chain that ends in 429 has that as its error, on the request and on the attempt that was the last."""
    shared = {**whose(traced, "saturated"), **at(traced, "busy", 1), **gen_ai("chat", "openai", "chat")}
    spans = [traced.request("saturated"), *traced.attempts("saturated")]
    assert [ours(span) for span in spans] == [{**shared, "http.status_code": "429", "error.type": "429"}] * 2


def test_a_refusal_of_a_known_key(traced: Traced) -> None:
    """402 is a span named after the operation, with the reason; the model is not told, and nobody was asked."""
    request = traced.request("poor")
    assert request.name == "chat"
    assert ours(request) == {
        **whose(traced, "poor"),
        **gen_ai("chat", "openai"),
        "tollgate.attempt": 0,
        "http.status_code": "402",
        "error.type": "tollgate_billing_shortfall",
    }
    assert traced.attempts("poor") == []


@pytest.mark.parametrize(
    ("name", "span", "call"), [("keyless", "chat", gen_ai("chat", "anthropic")), ("nowhere", "POST", {})]
)
def test_a_refusal_of_an_unknown_key(traced: Traced, name: str, span: str, call: dict[str, str | int]) -> None:
    """401 is a span named after the operation, where there is one at the path, else after the method."""
    request = traced.request(name)
    assert request.name == span
    assert ours(request) == {
        "tollgate.request_id": traced.ids[name],
        "tollgate.attempt": 0,
        "http.status_code": "401",
        "error.type": "tollgate_invalid_api_key",
        **call,
    }


def test_a_cut_stream(traced: Traced) -> None:
    """It has no tokens, for what the vendor has told is not all, and its error is how it ended."""
    request, (attempt,) = traced.request("cut"), traced.attempts("cut")
    assert request.attributes["error.type"] == "upstream_reset_after_response_started{protocol_error}"
    assert not [name for name in request.attributes if name.startswith("gen_ai.usage")]
    assert "error.type" not in attempt.attributes
    assert attempt.attributes["error"] == "true"


def test_a_flood(traced: Traced) -> None:
    """What the edge refuses before anybody knows what it is has a span named after the method."""
    request = traced.request("flooded")
    assert request.name == "POST"
    assert ours(request) == {
        "tollgate.request_id": traced.ids["flooded"],
        "tollgate.attempt": 0,
        "http.status_code": "429",
        "error.type": "local_rate_limited",
    }


def test_a_caller_decides_nothing(traced: Traced) -> None:
    """A caller's traceparent, here one that is not sampled, neither ends a trace nor is its parent."""
    requests = [traced.request(name) for name in CALLS]
    assert {request.parent for request in requests} == {b""}
    assert len({request.trace for request in requests}) == len(requests)
    assert CALLERS_TRACE not in {request.trace.hex() for request in requests}


def test_vendors_are_told_of_no_trace(traced: Traced) -> None:
    """Neither the caller's headers nor ours of the kind reach a vendor."""
    received = traced.gateway.received()
    assert len(received) >= len(FIRST)
    for request in received:
        assert not request["headers"].keys() & {*CALLERS_OWN, "b3", "x-b3-traceid"}


def test_what_was_said_is_in_no_span(traced: Traced) -> None:
    """All that the collector was sent has neither prompt nor answer nor more of a key than its prefix."""
    sent = b"".join(traced.collector.raw)
    keys = [customer.key[10:] for customer in traced.customers.values()]
    for word in (SAID, ANSWER, "sk-canary", "alice", *keys):
        assert word.encode() not in sent
    assert traced.customers["unary"].key[:10].encode() in sent


def test_every_attribute_is_documented(traced: Traced) -> None:
    """The table of the page has each attribute of ours, and no other."""
    documented = set(re.findall(r"^\| `([a-z_.]+)` ", PAGE, re.MULTILINE))
    found = {name for span in traced.collector.spans for name in ours(span)}
    assert found == documented


def line_about(traced: Traced, name: str) -> dict[str, object]:
    """The one line of the access log about a request, with what no two have alike left out."""
    log = traced.gateway.settings.logs / "envoy.log"
    found = eventually(lambda: [line for line in log.read_text().splitlines() if traced.ids[name] in line], "a line")
    (line,) = (json.loads(text) for text in found)
    for measured in ("time", "duration_ms", "first_byte_ms", "bytes"):
        assert line.pop(measured) is not None
    told: dict[str, object] = line
    return told


def test_a_line_for_an_answer(traced: Traced) -> None:
    """Envoy's access log is JSON with the request id: who, what, which channel, how it ended."""
    assert line_about(traced, "failover") == {
        "request_id": traced.ids["failover"],
        "method": "POST",
        "operation": "chat",
        "model": "chat",
        "group": "fails-500-then-b",
        "key_prefix": traced.customers["failover"].key[:10],
        "channel": "b",
        "attempts": 2,
        "status": 200,
        "details": "via_upstream",
        "flags": "-",
        "address": "127.0.0.1",
    }


def test_a_line_for_a_refusal(traced: Traced) -> None:
    """What is not known of a refused request is null."""
    line = line_about(traced, "keyless")
    assert {name: value for name, value in line.items() if value is not None} == {
        "request_id": traced.ids["keyless"],
        "method": "POST",
        "operation": "chat",
        "attempts": 0,
        "status": 401,
        "details": "tollgate_invalid_api_key",
        "flags": "-",
        "address": "127.0.0.1",
    }


def test_what_was_said_is_in_no_log(traced: Traced) -> None:
    """Neither prompt nor answer nor a key, in a header or in the query, is in any log, the access log and all."""
    for name in traced.ids:
        line_about(traced, name)
    for word in (SAID, ANSWER, "sk-canary", *(customer.key[10:] for customer in traced.customers.values())):
        assert word not in traced.gateway.logs()


def test_a_dead_collector_costs_no_request(traced: Traced) -> None:
    """Requests are answered when nobody takes their spans any more. (The last test here: the collector is gone.)"""
    traced.collector.stop()
    key = traced.customers["unary"].key
    assert {send(traced.gateway, "chat", key, {}).status_code for _ in range(30)} == {200}


def test_a_collector_that_was_never_there(tmp_path: Path) -> None:
    """Envoy starts and serves though the name of the collector does not resolve."""
    config = few_channels(tmp_path / "config")
    with gateway(config, tmp_path / "data", environment={"TOLLGATE_OTLP": "nowhere.invalid:4317"}) as running:
        assert send(running, "chat", running.customer().key, {}).status_code == 200
