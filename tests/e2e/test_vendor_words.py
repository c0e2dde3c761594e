"""What Envoy's own reader of usage leaves out is priced all the same, in one piece and streamed."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.bills import scripted
from tests.e2e.harness import Gateway, gateway
from tests.e2e.sdks import anthropic_client, openai_client

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
"""
GROUPS = "groups: {default: {channels: [{channel: a}, {channel: b}]}}"
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
"""


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with vendors of many words; each model also goes by another name at its vendor."""
    config = tmp_path_factory.mktemp("words")
    for name, text in {"channels": CHANNELS, "groups": GROUPS, "models": MODELS}.items():
        (config / f"{name}.yaml").write_text(text)
    with gateway(config, tmp_path_factory.mktemp("data"), workers=1) as running:
        yield running


HIT = {"input": 1_000, "hit": 400, "output": 50}
AUDIO = {"input": 1_000, "audio": 300, "output": 50}
HOUR = {"input": 1_000, "cached": 100, "cache_write": 500, "cache_write_1h": 300, "output": 50}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("word_bytes", [0, 4_000], ids=["small", "large"])
@pytest.mark.parametrize("name", ["seek", "seek-named", "claude", "claude-named"])
@pytest.mark.parametrize(
    ("family", "usage", "nano"),
    [
        pytest.param("seek", HIT, 600 * 2_000 + 400 * 500 + 50 * 8_000, id="DeepSeek's cache"),
        pytest.param("seek", AUDIO, 700 * 2_000 + 300 * 32_000 + 50 * 8_000, id="OpenAI's audio"),
        pytest.param("claude", HOUR, 400 * 2_000 + 100 * 500 + 200 * 2_500 + 300 * 4_000 + 50 * 8_000, id="an hour"),
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
    messages = [{"role": "user", "content": prompt}]
    if family == "seek":
        client = openai_client(words.url, customer.key).chat.completions
    else:
        client = anthropic_client(words.url, customer.key).messages
    answer = client.create(model=name, messages=messages, max_tokens=1_000, stream=stream)
    assert (list(answer)[-1] if stream else answer) is not None
    (record,) = words.settled(customer, records=1)
    assert (record["state"], record["charged_nano"], record["doubts"]) == ("REPORTED", nano, [])
