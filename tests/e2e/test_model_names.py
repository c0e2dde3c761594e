"""Where a channel has another name for a model, the request has the vendor's, and the answer has the caller's."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.calls import FORMS, STREAMS, call, headers, prompt
from tests.e2e.chains import CHANNELS
from tests.e2e.harness import HTTP, Customer, Gateway, eventually, gateway
from tests.e2e.odd_vendor import OddVendor
from tests.e2e.sdks import Client, anthropic_client, gemini_client, openai_client

NAMED = {name: form for name, form in FORMS.items() if name != "gem-embed"}
"""Every form whose answer names a model."""

NAMES = re.compile(r'"model(?:Version)?": ?"([^"]*)"')

OF_CHANNEL = {"default": {"chat": "a", "claude": "claude-a", "gem": "gem-a", "embed": "a"}}
OF_CHANNEL["half"] = {"chat": "b", "claude": "claude-b", "gem": "gem-b", "embed": "b"}


def public_name(form_name: str) -> str:
    """The model that a form asks for."""
    form = FORMS[form_name]
    return str(form.body.get("model", "gem"))


def vendor_name(form_name: str, group: str) -> str:
    """What the one channel of this group calls it."""
    public = public_name(form_name)
    return str(CHANNELS[OF_CHANNEL[group][public]]["models"][public])


# --- on the simulator -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", OF_CHANNEL)
@pytest.mark.parametrize("form_name", NAMED)
def test_the_answer_has_the_callers_name(chains: Gateway, form_name: str, group: str) -> None:
    """A longer name or a shorter one than the vendor's stands in every place; the usage is read all the same."""
    customer = chains.customer(group=group)
    vendor, public = vendor_name(form_name, group), public_name(form_name)
    chains.forget_received()

    answer = call(chains, customer, form_name)

    assert answer.status_code == 200
    assert vendor in json.dumps([(one["path"], one["body"]) for one in chains.received()])
    assert f'"{vendor}"' not in answer.text
    assert set(NAMES.findall(answer.text)) == {public}
    (record,) = chains.settled(customer, records=1)
    assert (record["state"], record["model"], record["vendor_model"]) == ("REPORTED", public, vendor)


@pytest.mark.parametrize("form_name", ["chat", "embeddings"])
@pytest.mark.parametrize("body_bytes", [2_000, 100_000, 3_000_000])
@pytest.mark.parametrize("group", OF_CHANNEL)
def test_an_answer_in_one_piece_is_whole(chains: Gateway, form_name: str, body_bytes: int, group: str) -> None:
    """However large, and whether a filter waits for all of it or not: its length is right, and all of it is there."""
    vendor, public = vendor_name(form_name, group), public_name(form_name)

    answer = call(chains, chains.customer(usd="100", group=group), form_name, {"body_bytes": body_bytes})

    assert answer.json()["model"] == public
    assert len(answer.content) == int(answer.headers.get("content-length", len(answer.content)))
    assert len(answer.content) == body_bytes + len(public) - len(vendor)


def go_on(chains: Gateway) -> None:
    """Let the vendor send the rest, once it waits."""
    eventually(lambda: HTTP.get(f"{chains.simulator_url}/_sim/paused").json()["paused"], "the pause")
    HTTP.post(f"{chains.simulator_url}/_sim/resume")


@pytest.mark.parametrize("form_name", STREAMS)
def test_a_stream_stays_a_stream(chains: Gateway, form_name: str) -> None:
    """What the vendor has sent is with the caller, under the caller's name, while the vendor still waits."""
    customer, form = chains.customer(), FORMS[form_name]
    body = form.encode(prompt({"chunks": 9, "pause_at": 2}))
    with httpx.stream(
        "POST", chains.url + form.path, headers=headers(form, customer.key), content=body, timeout=60
    ) as answer:
        pieces = answer.iter_text()
        came = ""
        while "w1" not in came:
            came += next(pieces)
        assert "w2" not in came
        assert f'"{public_name(form_name)}"' in came
        go_on(chains)
        came += "".join(pieces)

    assert "w8" in came
    assert vendor_name(form_name, "default") not in came
    (record,) = chains.settled(customer, records=1)
    assert record["state"] == "REPORTED"


def test_an_answer_in_one_piece_is_not_waited_for(chains: Gateway) -> None:
    """The half that has come is with the caller while the vendor still waits with the rest."""
    customer, form = chains.customer(), FORMS["chat"]
    body = form.encode(prompt({"body_bytes": 100_000, "pause_at": 1}))
    with httpx.stream(
        "POST", chains.url + form.path, headers=headers(form, customer.key), content=body, timeout=60
    ) as answer:
        pieces = answer.iter_bytes()
        first = next(pieces)
        go_on(chains)
        whole = first + b"".join(pieces)

    assert b'"model":"chat"' in first
    assert json.loads(whole)["model"] == "chat"


def test_every_event_of_a_long_stream_is_renamed(chains: Gateway) -> None:
    """A thousand events name the caller's model, and the numbers at the end are the vendor's."""
    customer = chains.customer()

    answer = call(chains, customer, "chat stream", {"chunks": 1_000, "delay_ms": 0.1})

    named = [json.loads(line[6:])["model"] for line in answer.text.splitlines() if line.startswith("data: {")]
    assert set(named) == {"chat"}
    (record,) = chains.settled(customer, records=1)
    assert (record["state"], record["usage"]["output_tokens"]) == ("REPORTED", 1_000)


def test_a_vendors_refusal_is_left_as_it_is(chains: Gateway) -> None:
    """Only an answer has a model; an error's words are the vendor's."""
    sent = call(chains, chains.customer(), "chat", {"status": 400})
    assert sent.status_code == 400
    assert sent.headers["content-length"] == str(len(sent.content))


# --- on a vendor that says what it is told ----------------------------------------------------------------------------

YAML = {
    "channels": """
channels:
  o: {dialect: openai, base_url: "http://127.0.0.1:${ODD_PORT}/repeat/v1", models: {"m*": "vendor/x.1*", same: }}
  a: {dialect: anthropic, base_url: "http://127.0.0.1:${ODD_PORT}/repeat", models: {m: vendor/x.1}}
  g: {dialect: gemini, base_url: "http://127.0.0.1:${ODD_PORT}/repeat", models: {m: vendor/x.1}}
  s: {dialect: openai, base_url: "http://127.0.0.1:${TOLLGATE_DEMO_PORT}/s/v1", models: {say: v-say, write: v-write}}
  odd-o: {dialect: openai, base_url: "http://127.0.0.1:${TOLLGATE_DEMO_PORT}/o/v1", models: {"org/*": "v/*"}}
  odd-a: {dialect: anthropic, base_url: "http://127.0.0.1:${TOLLGATE_DEMO_PORT}/a", models: {"org/*": "v/*"}}
  odd-g: {dialect: gemini, base_url: "http://127.0.0.1:${TOLLGATE_DEMO_PORT}/g", models: {"org/*": "v/*"}}
""",
    "groups": """
groups:
  default: {channels: [{channel: o}, {channel: a}, {channel: g}, {channel: s}]}
  odd: {models: ["org/*"], channels: [{channel: odd-o}, {channel: odd-a}, {channel: odd-g}]}
""",
    "models": """
models:
  m: &text {price: {input: 1, output: 2}, max_output_tokens: 100}
  m-embed: {price: {input: 1}}
  same: *text
  write: *text
  say: {price: {per_million_characters: 1}}
  org/family/model:free:
    price: {input: 1, output: 2}
    max_output_tokens: 100
    context_window: 32000
    aliases: [nick, team/nick:1]
""",
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, odd_vendor: OddVendor) -> Iterator[Gateway]:
    """A gateway with a vendor that repeats the prompt, and with names that hold what a name may hold."""
    config = tmp_path_factory.mktemp("named")
    for name, text in YAML.items():
        (config / f"{name}.yaml").write_text(text)
    with gateway(config, tmp_path_factory.mktemp("data"), environment={"ODD_PORT": str(odd_vendor.port)}) as running:
        yield running


@pytest.fixture(scope="module")
def caller(named: Gateway) -> Customer:
    """Who asks."""
    return named.customer(usd="100")


def asked(dialect: str, text: str, model: str = "m") -> tuple[str, dict[str, Any]]:
    """The path and the body that ask for this text."""
    if dialect == "openai":
        return "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": text}]}
    if dialect == "anthropic":
        return "/v1/messages", {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
    return f"/v1beta/models/{model}:generateContent", {"contents": [{"parts": [{"text": text}]}]}


@pytest.mark.parametrize(
    ("dialect", "said", "heard"),
    [
        ("openai", '{"model":"vendor/x.1"}', '{"model":"m"}'),
        ("openai", '{"model" : "vendor/x.1"}', '{"model" : "m"}'),
        ("openai", '{"model":\n"vendor/x.1","b":1}', '{"model":\n"m","b":1}'),
        ("openai", '{"model":"vendor/x.1-2026-01-31"}', '{"model":"m"}'),
        ("openai", '{"model":"vendor/x.1","b":{"model":"vendor/x.1"}}', '{"model":"m","b":{"model":"m"}}'),
        ("openai", '{"model":"vendor/x.10:free","model":"y"}', '{"model":"m","model":"y"}'),
        ("openai", '{"model":"vendor/xx1"}', None),
        ("openai", '{"model":"x.1"}', None),
        ("openai", '{"model":{"model":3}}', None),
        ("openai", '{"a":"vendor/x.1","modelVersion":"vendor/x.1"}', None),
        ("openai", '{"a":"{\\"model\\":\\"vendor/x.1\\"}"}', None),
        ("openai", '{"a":"\\"model\\":","model"', None),
        ("openai", "", None),
        ("anthropic", '{"model":"vendor/x.1","b":[]}', '{"model":"m","b":[]}'),
        (
            "anthropic",
            '{"model":"vendor/x.1","content":[{"input":{"model":"vendor/x.1"}}]}',
            '{"model":"m","content":[{"input":{"model":"vendor/x.1"}}]}',
        ),
        ("gemini", '{"a":1,"modelVersion":"vendor/x.1"}', '{"a":1,"modelVersion":"m"}'),
        ("gemini", '{"modelVersion": "vendor/x.1-001"}', '{"modelVersion": "m"}'),
        ("gemini", '{"model":"vendor/x.1"}', None),
    ],
)
def test_what_is_a_name_and_what_is_not(
    named: Gateway, caller: Customer, dialect: str, said: str, heard: str | None
) -> None:
    """The vendor's name, with or without what it adds, is replaced as the value of the dialect's member, only there."""
    path, body = asked(dialect, said)

    answer = HTTP.post(named.url + path, json=body, headers={"authorization": f"Bearer {caller.key}"})

    assert (answer.status_code, answer.text) == (200, said if heard is None else heard)


@pytest.mark.parametrize("model", ["m", "same"])
def test_an_answer_keeps_its_length_where_nothing_is_renamed(named: Gateway, caller: Customer, model: str) -> None:
    """A channel that has the caller's name passes on what it gets, length and all; else no length is announced."""
    path, body = asked("openai", '{"model":"vendor/x.1"}', model)

    answer = HTTP.post(named.url + path, json=body, headers={"authorization": f"Bearer {caller.key}"})

    assert ("content-length" in answer.headers) == (model == "same")
    assert answer.json()["model"] == ("vendor/x.1" if model == "same" else "m")


@pytest.mark.parametrize("size", [100, 20_000, 1_000_000])
@pytest.mark.parametrize("last", [False, True], ids=["name first", "name last"])
def test_embeddings_are_renamed_where_they_are_held(named: Gateway, caller: Customer, size: int, last: bool) -> None:
    """An answer that is waited for as a whole is renamed wherever the name stands, and has the length it has then."""
    members = {"model": "vendor/x.1-embed", "data": "x" * size}
    said = json.dumps(dict(reversed(members.items())) if last else members)

    answer = HTTP.post(
        f"{named.url}/v1/embeddings",
        json={"model": "m-embed", "input": said},
        headers={"authorization": f"Bearer {caller.key}"},
    )

    assert answer.text == said.replace("vendor/x.1-embed", "m-embed")
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_stream_where_only_json_is_held_stays_a_stream(named: Gateway, caller: Customer) -> None:
    """Completions come in one piece, which a filter waits for, or as events, which nothing waits for."""
    asked = {"model": "write", "prompt": prompt({"chunks": 9, "pause_at": 2}), "max_tokens": 50, "stream": True}
    sent = {"authorization": f"Bearer {caller.key}"}
    with httpx.stream("POST", f"{named.url}/v1/completions", headers=sent, json=asked, timeout=60) as answer:
        pieces = answer.iter_text()
        came = ""
        while "w1" not in came:
            came += next(pieces)
        go_on(named)
        came += "".join(pieces)

    assert "w8" in came
    assert set(NAMES.findall(came)) == {"write"}


def test_what_is_no_text_is_passed_on_with_its_length(named: Gateway, caller: Customer) -> None:
    """Sound has no names in it."""
    answer = HTTP.post(
        f"{named.url}/v1/audio/speech",
        json={"model": "say", "input": "Hello", "voice": "alloy"},
        headers={"authorization": f"Bearer {caller.key}"},
    )

    assert answer.headers["content-type"].startswith("audio/")
    assert answer.headers["content-length"] == str(len(answer.content))


# --- names with all that a name may hold ------------------------------------------------------------------------------

ODD = ["nick", "org/family/model:free", "team/nick:1"]
SDKS: list[Callable[[str, str], Client]] = [openai_client, anthropic_client, gemini_client]


@pytest.mark.parametrize("make", SDKS)
def test_each_sdk_lists_finds_and_calls_names_with_slashes_and_colons(named: Gateway, make: Client) -> None:
    """A family, its alias: what is listed is found under its name and answers under its name, in all three SDKs."""
    customer = named.customer(group="odd")
    client = make(named.url, customer.key)
    messages = [{"role": "user", "content": "Hello"}]

    def ask(model: str) -> str:
        if hasattr(client, "chat"):
            return str(client.chat.completions.create(model=model, messages=messages).model)
        if hasattr(client, "messages"):
            return str(client.messages.create(model=model, max_tokens=9, messages=messages).model)
        return str(client.models.generate_content(model=model, contents="Hello").model_version)

    def find(model: str) -> str:
        google = not hasattr(client.models, "retrieve")
        found = client.models.get(model=model) if google else client.models.retrieve(model)
        return str(found.name if google else found.id).removeprefix("models/")

    listed = [(getattr(m, "id", None) or m.name).removeprefix("models/") for m in client.models.list()]

    assert listed == ODD
    assert [find(model) for model in ODD] == ODD
    assert [ask(model) for model in ODD] == ODD
    records = named.settled(customer, records=len(ODD))
    assert sorted(record["model"] for record in records) == ODD
    assert len({record["vendor_model"] for record in records}) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/org/family/model:free",
        "/v1/models/org%2Ffamily%2Fmodel%3Afree",
        "/claude/v1/models/org/family/model:free",
        "/v1beta/models/org/family/model:free",
        "/gemini/v1/models/org%2Ffamily/model:free",
    ],
)
def test_a_name_may_be_escaped_or_not(named: Gateway, path: str) -> None:
    """A slash and a colon are the same name in both forms, and its context window comes along."""
    customer = named.customer(group="odd")

    answer = HTTP.get(named.url + path, headers={"authorization": f"Bearer {customer.key}"})

    assert answer.status_code == 200
    told = answer.json()
    assert (told.get("id") or told["name"]).removeprefix("models/") == "org/family/model:free"
    window = [told.get(name) for name in ("context_window", "max_input_tokens", "inputTokenLimit")]
    assert [size for size in window if size] == [32_000]
