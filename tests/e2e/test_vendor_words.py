"""What Envoy's own reader of usage leaves out is priced all the same, in one piece and streamed."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.e2e.bills import scripted
from tests.e2e.harness import Gateway, gateway
from tests.e2e.sdks import anthropic_client, gemini_client, openai_client

CHANNELS = """
channels:
  a:
    dialect: openai
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/a/v1
    models: {seek: , seek-named: vendor-seek}
  b:
    dialect: anthropic
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/b
    models: {claude: , claude-named: vendor-c}
  g:
    dialect: gemini
    base_url: http://127.0.0.1:${TOLLGATE_DEMO_PORT}/g
    models: {gem: , gem-named: vendor-g}
"""
GROUPS = "groups: {default: {channels: [{channel: a}, {channel: b}, {channel: g}]}}"
MODELS = """
models:
  seek: &seek
    price: {input: 2.00, cache_read: 0.50, input_audio: 32.00, output: 8.00}
    max_output_tokens: 1000
  seek-named: *seek
  claude: &claude
    price: {input: 2.00, cache_read: 0.50, cache_write: 2.50, cache_write_1h: 4.00, output: 8.00}
    max_output_tokens: 1000
  claude-named: *claude
  gem: &gem
    price: {input: 2.00, input_audio: 6.00, input_image: 3.00, cache_read: 0.50, output: 8.00, output_image: 30.00}
    max_output_tokens: 1000
  gem-named: *gem
"""


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with vendors of many words; each model also goes by another name at its vendor."""
    config = tmp_path_factory.mktemp("words")
    for name, text in {"channels": CHANNELS, "groups": GROUPS, "models": MODELS}.items():
        (config / f"{name}.yaml").write_text(text)
    with gateway(config, tmp_path_factory.mktemp("data"), workers=1) as running:
        yield running


def ask(url: str, key: str, name: str, prompt: str, stream: bool) -> Any:
    """An answer of this model, through the SDK of its family."""
    messages = [{"role": "user", "content": prompt}]
    if name.startswith("seek"):
        chat = openai_client(url, key).chat.completions
        return chat.create(model=name, messages=messages, max_tokens=1_000, stream=stream)
    if name.startswith("claude"):
        claude = anthropic_client(url, key).messages
        return claude.create(model=name, messages=messages, max_tokens=1_000, stream=stream)
    gemini = gemini_client(url, key).models
    return (gemini.generate_content_stream if stream else gemini.generate_content)(model=name, contents=prompt)


HIT = {"input": 1_000, "hit": 400, "output": 50}
AUDIO = {"input": 1_000, "audio": 300, "output": 50}
HOUR = {"input": 1_000, "cached": 100, "cache_write": 500, "cache_write_1h": 300, "output": 50}
PARTS = {"input": 1_000, "audio": 300, "image": 200, "cached": 400, "cached_audio": 100, "output": 50}
PARTS |= {"reasoning": 10, "output_image": 30}
PARTS_NANO = 400 * 500 + 200 * 6_000 + 200 * 3_000 + 200 * 2_000 + 20 * 8_000 + 30 * 30_000


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("word_bytes", [0, 4_000], ids=["small", "large"])
@pytest.mark.parametrize("name", ["seek", "seek-named", "claude", "claude-named", "gem", "gem-named"])
@pytest.mark.parametrize(
    ("family", "usage", "nano"),
    [
        pytest.param("seek", HIT, 600 * 2_000 + 400 * 500 + 50 * 8_000, id="DeepSeek's cache"),
        pytest.param("seek", AUDIO, 700 * 2_000 + 300 * 32_000 + 50 * 8_000, id="OpenAI's audio"),
        pytest.param("claude", HOUR, 400 * 2_000 + 100 * 500 + 200 * 2_500 + 300 * 4_000 + 50 * 8_000, id="an hour"),
        pytest.param("gem", PARTS, PARTS_NANO, id="Gemini's modalities"),
    ],
)
def test_what_envoy_does_not_read_is_priced(
    words: Gateway, family: str, name: str, usage: dict[str, Any], nano: int, word_bytes: int, stream: bool
) -> None:
    """Small answers and large ones, by one name or two: each part of the input at its own price, and no doubt."""
    if not name.startswith(family):
        pytest.skip("another vendor's words")
    customer = words.customer(usd="5")
    prompt = scripted(chunks=50, word_bytes=word_bytes, usage=usage)
    answer = ask(words.url, customer.key, name, prompt, stream)
    assert (list(answer)[-1] if stream else answer) is not None
    (record,) = words.settled(customer, records=1)
    assert (record["state"], record["charged_nano"], record["doubts"]) == ("REPORTED", nano, [])


def test_what_a_cut_stream_told_so_far_is_priced_by_its_kind(words: Gateway) -> None:
    """Each of Gemini's events tells of what kind the prompt is: a caller who has left pays for it as such."""
    customer = words.customer(usd="5")
    prompt = scripted(chunks=50, word_bytes=4_000, reset_after=10, usage=PARTS)
    with contextlib.suppress(httpx2.TransportError):
        list(ask(words.url, customer.key, "gem", prompt, stream=True))
    (record,) = words.settled(customer, records=1)
    usage = record["usage"]
    assert (record["state"], usage["input_tokens"], usage["cache_read_tokens"]) == ("PARTIAL", 1_000, 400)
    assert (usage["input_audio_tokens"], usage["input_image_tokens"], usage["output_image_tokens"]) == (200, 200, 0)
