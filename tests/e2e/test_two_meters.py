"""Streams are read by Envoy's AI protocol manager and by our own rules: they agree, or it is said and the less charged.

Each case is a stream as some vendor words its usage, through the real Envoy.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import HTTP, Gateway, gateway
from tests.e2e.odd_vendor import OddVendor

CHANNELS = """
channels:
  o: {dialect: openai, base_url: "http://127.0.0.1:${ODD_PORT}/events/o", models: {gpt: }}
  a: {dialect: anthropic, base_url: "http://127.0.0.1:${ODD_PORT}/events/a", models: {claude: }}
  g: {dialect: gemini, base_url: "http://127.0.0.1:${ODD_PORT}/events/g", models: {gem: }}
"""
GROUPS = "groups: {default: {channels: [{channel: o}, {channel: a}, {channel: g}]}}"
MODELS = """
models:
  gpt: &one
    price: {input: 1.00, cache_read: 0.10, cache_write: 2.00, input_audio: 5.00, output: 10.00, reasoning: 20.00}
    max_output_tokens: 10000
  claude: *one
  gem: *one
"""


@pytest.fixture(scope="module")
def meters(tmp_path_factory: pytest.TempPathFactory, odd_vendor: OddVendor) -> Iterator[Gateway]:
    """A gateway whose vendors answer with the events that they are sent."""
    config = tmp_path_factory.mktemp("meters")
    for name, text in {"channels": CHANNELS, "groups": GROUPS, "models": MODELS}.items():
        (config / f"{name}.yaml").write_text(text)
    environment = {"ODD_PORT": str(odd_vendor.port)}
    with gateway(config, tmp_path_factory.mktemp("data"), workers=1, environment=environment) as running:
        yield running


PATHS = {
    "gpt": "/v1/chat/completions",
    "claude": "/v1/messages",
    "gem": "/v1beta/models/gem:streamGenerateContent?alt=sse",
}

Event = dict[str, Any]


def chat(*usages: Event | None, kind: str | None = "chat.completion.chunk", more: Event | None = None) -> list[Event]:
    """A chat's chunks, with these usages."""
    choices = [{"index": 0, "delta": {"content": "w"}, "finish_reason": None}]
    named = {"object": kind} if kind else {}
    return [{"id": "c", **named, "model": "m", "choices": choices, "usage": usage, **(more or {})} for usage in usages]


def messages(first: Event, *usages: Event, after: Event | None = None) -> list[Event]:
    """An Anthropic message that begins with a usage, and changes it; perhaps once more after its end."""
    start: Event = {"type": "message_start", "message": {"id": "m", "role": "assistant", "model": "m", "usage": first}}
    deltas = [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage} for usage in usages]
    late = [{"type": "message_delta", "delta": {}, "usage": after}] if after else []
    return [start, *deltas, {"type": "message_stop"}, *late]


def chunks(*usages: Event, size: int = 1) -> list[Event]:
    """Gemini's chunks, with what there is so far; of a mebibyte and more each is read by itself."""
    content = {"parts": [{"text": "w" * size}], "role": "model"}
    return [{"candidates": [{"content": content, "index": 0}], "usageMetadata": usage} for usage in usages]


def told(prompt: int, completion: int, total: int | None = None, **details: Event) -> Event:
    """A chat's usage; without a total, the sum."""
    total = prompt + completion if total is None else total
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **details}


def prompted(**counts: int) -> list[Event]:
    """A list by modality."""
    return [{"modality": name, "tokenCount": count} for name, count in counts.items()]


FORGED = {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
FORGED |= {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
WRITTEN = json.dumps({"usage": FORGED, "message": {"usage": FORGED}, "usageMetadata": FORGED})
"""What a model may say, or give to a tool, to be cheaper."""


def block(**content: Any) -> list[Event]:
    """A part of an Anthropic message."""
    return [{"type": "content_block_start", "index": 0, "content_block": content}]


CASES = [
    (
        "gpt",
        "a usage that the model writes",
        [*chat(told(100, 30)), *chat(None, more={"choices": [{"index": 0, "delta": {"content": WRITTEN}}]})],
        400_000,
        [],
    ),
    ("gpt", "an event that is no object", [None, 0, "usage", *chat(told(100, 30))], 400_000, []),
    (
        "claude",
        "a usage that the model writes, and gives to a tool",
        [
            *messages({"input_tokens": 10, "output_tokens": 1}, {"output_tokens": 20})[:2],
            *block(type="text", text=WRITTEN),
            *block(type="server_tool_use", input=json.loads(WRITTEN)),
            {"type": "message_stop"},
        ],
        210_000,
        [],
    ),
    (
        "gem",
        "a usage that the model writes, and gives to a tool",
        [
            *chunks({"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110}),
            {
                "candidates": [
                    {"content": {"parts": [{"functionCall": {"args": json.loads(WRITTEN)}}, {"text": WRITTEN}]}}
                ]
            },
        ],
        200_000,
        [],
    ),
    ("gpt", "cumulative", chat(told(100, 1), told(100, 2), told(100, 30)), 100_000 + 300_000, []),
    ("gpt", "repeated", chat(told(100, 30), None, told(100, 30), told(100, 30)), 400_000, []),
    ("gpt", "falling", chat(told(100, 30), told(90, 20)), 90_000 + 200_000, []),
    (
        "gpt",
        "reasoning beside the completion",
        chat(told(32, 9, 135, completion_tokens_details={"reasoning_tokens": 94})),
        32_000 + 90_000 + 94 * 20_000,
        [],
    ),
    (
        "gpt",
        "reasoning in the completion",
        chat(told(32, 103, completion_tokens_details={"reasoning_tokens": 94})),
        32_000 + 90_000 + 94 * 20_000,
        [],
    ),
    (
        "gpt",
        "audio beside the prompt",
        chat(told(100, 10, 410, prompt_tokens_details={"audio_tokens": 300})),
        100_000 + 300 * 5_000 + 100_000,
        [],
    ),
    (
        "gpt",
        "written to a cache, in the prompt",
        chat(told(100, 10, prompt_tokens_details={"cached_tokens": 20, "cache_write_tokens": 30})),
        50_000 + 20 * 100 + 30 * 2_000 + 100_000,
        [],
    ),
    ("gpt", "an envelope that says not what it is", chat(told(100, 30), kind=None), 400_000, []),
    ("gpt", "a total that is none", chat(told(100, 30, 999)), 400_000, ["input + output is not total"]),
    (
        "claude",
        "cumulative, the input too",
        messages(
            {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1},
            {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 7},
            {"input_tokens": 90, "cache_read_input_tokens": 5, "output_tokens": 20},
        ),
        90_000 + 5 * 100 + 200_000,
        [],
    ),
    (
        "claude",
        "the output alone at the end",
        messages({"input_tokens": 10, "cache_creation_input_tokens": 5, "output_tokens": 1}, {"output_tokens": 20}),
        10_000 + 5 * 2_000 + 200_000,
        [],
    ),
    (
        "claude",
        "all of it at the end",
        messages({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 90, "output_tokens": 20}),
        290_000,
        [],
    ),
    (
        "claude",
        "an input that falls",
        messages({"input_tokens": 90, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 20}),
        200_000,
        ["input fell"],
    ),
    (
        "claude",
        "thinking in the output",
        messages(
            {"input_tokens": 10, "output_tokens": 1},
            {"output_tokens": 20, "output_tokens_details": {"thinking_tokens": 15}},
        ),
        10_000 + 50_000 + 15 * 20_000,
        [],
    ),
    (
        "claude",
        "more after the end, which one meter has not waited for",
        messages({"input_tokens": 10, "output_tokens": 1}, {"output_tokens": 20}, after={"output_tokens": 30}),
        210_000,
        ["output_tokens: 20 counted, 30 lifted"],
    ),
    (
        "claude",
        "less after the end",
        messages({"input_tokens": 10, "output_tokens": 1}, {"output_tokens": 20}, after={"output_tokens": 3}),
        40_000,
        ["output_tokens: 20 counted, 3 lifted"],
    ),
    (
        "gem",
        "cumulative, thoughts and tools beside",
        chunks(
            {"promptTokenCount": 100, "totalTokenCount": 100},
            {"promptTokenCount": 100, "thoughtsTokenCount": 5, "totalTokenCount": 105},
            {
                "promptTokenCount": 100,
                "candidatesTokenCount": 10,
                "thoughtsTokenCount": 5,
                "toolUsePromptTokenCount": 40,
                "totalTokenCount": 155,
            },
        ),
        140_000 + 100_000 + 5 * 20_000,
        [],
    ),
    (
        "gem",
        "by modality in what a tool is given, and in a text",
        [
            {
                "candidates": [
                    {
                        "content": {
                            "parts": [
                                {"functionCall": {"name": "f", "args": {"promptTokensDetails": prompted(AUDIO=90)}}},
                                {"text": json.dumps({"candidatesTokensDetails": prompted(AUDIO=5)})},
                            ]
                        }
                    }
                ],
                "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110}
                | {"promptTokensDetails": prompted(TEXT=100)},
            }
        ],
        200_000,
        [],
    ),
    (
        "gem",
        "by modality, of which one is gone at the end",
        chunks(
            {"promptTokenCount": 100, "promptTokensDetails": prompted(TEXT=60, AUDIO=40)},
            {
                "promptTokenCount": 100,
                "candidatesTokenCount": 10,
                "cachedContentTokenCount": 50,
                "cacheTokensDetails": prompted(AUDIO=30, TEXT=20),
                "promptTokensDetails": prompted(TEXT=50, IMAGE=10, AUDIO=40),
                "totalTokenCount": 110,
            },
            {
                "promptTokenCount": 100,
                "candidatesTokenCount": 10,
                "cachedContentTokenCount": 50,
                "cacheTokensDetails": prompted(TEXT=50),
                "promptTokensDetails": prompted(TEXT=60, AUDIO=40),
                "totalTokenCount": 110,
            },
            size=1_100_000,
        ),
        10_000 + 40 * 5_000 + 50 * 100 + 100_000,
        [],
    ),
]


@pytest.mark.parametrize(
    ("model", "events", "nano", "doubts"),
    [(m, e, n, d) for m, _, e, n, d in CASES],
    ids=[f"{model}: {name}" for model, name, *_ in CASES],
)
def test_what_a_stream_is_charged(
    meters: Gateway, model: str, events: list[Event], nano: int, doubts: list[str]
) -> None:
    """Each token once, in the class that the vendor meant; what does not add up is on record."""
    customer = meters.customer(usd="5")
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    text += "data: [DONE]\n\n" if model == "gpt" else ""
    said: Event = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 1_000, "stream": True}
    body = {"contents": [{"parts": [{"text": text}]}]} if model == "gem" else said
    answer = HTTP.post(meters.url + PATHS[model], json=body, headers={"x-api-key": customer.key})
    assert answer.text == text
    (record,) = meters.settled(customer, records=1)
    assert (record["state"], record["charged_nano"], record["doubts"]) == ("REPORTED", nano, doubts)
