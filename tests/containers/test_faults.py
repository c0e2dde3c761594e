"""Containers that die, hang and come back, under requests; and the YAML edited on the outside."""

from typing import Any

import openai
import pytest
import yaml
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from tests.containers.stack import BACK_SECONDS, Customer, Stack, docker
from tests.e2e.harness import eventually

WORDS = 20
PAUSED = 'Hello [[sim {"chunks": 20, "pause_at": 2}]]'
"""The simulator waits after two words until it is told to go on."""

PER_INPUT, PER_OUTPUT = 250, 2000


def begin(client: OpenAI) -> tuple[str, Stream[ChatCompletionChunk], ChatCompletionChunk]:
    """A stream that has begun and waits: its request id, what is to come of it, what came first."""
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-5-mini", messages=[{"role": "user", "content": PAUSED}], stream=True
    )
    stream = raw.parse()
    return raw.headers["x-tollgate-request-id"], stream, next(iter(stream))


def rest(stack: Stack, stream: Stream[ChatCompletionChunk], first: ChatCompletionChunk) -> tuple[int, int]:
    """Let it go on to its end: how many words it had, and what its usage costs, in nano."""
    assert stack.vendor("POST", "resume")
    chunks = [first, *stream]
    words = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).split()
    usage = chunks[-1].usage
    assert usage is not None
    return len(words), PER_INPUT * usage.prompt_tokens + PER_OUTPUT * usage.completion_tokens


def test_a_stream_outlives_the_sidecars_container_and_is_charged_once(stack: Stack, customer: Customer) -> None:
    """Killed under a stream: every word arrives. What it missed is told to it when it is back, and charged once."""
    before = stack.charged(customer)
    request_id, stream, first = begin(stack.openai(customer))
    docker("kill", stack.container("sidecar"))
    words, cost = rest(stack, stream, first)
    assert words == WORDS
    with pytest.raises(openai.APIStatusError) as refused:
        stack.openai(customer).models.list()
    assert refused.value.status_code == 503
    docker("start", stack.container("sidecar"))
    stack.healthy("sidecar")
    assert stack.charged(customer) - before == cost
    assert [end["state"] for end in stack.ends(request_id)] == ["reported"]
    serves_again(stack, customer)


def test_while_redis_hangs_requests_are_refused_and_ends_wait(stack: Stack, customer: Customer) -> None:
    """Paused under a stream: new requests get 503 with Retry-After; the stream ends whole, and is charged later."""
    before = stack.charged(customer)
    request_id, stream, first = begin(stack.openai(customer))
    docker("pause", stack.container("redis"))
    try:
        with pytest.raises(openai.APIStatusError) as refused:
            stack.openai(customer).chat.completions.create(
                model="gpt-5-mini", messages=[{"role": "user", "content": "Hello"}]
            )
        words, cost = rest(stack, stream, first)
    finally:
        docker("unpause", stack.container("redis"))
    assert (refused.value.status_code, words) == (503, WORDS)
    assert int(refused.value.response.headers["retry-after"]) > 0
    assert stack.charged(customer) - before == cost
    assert [end["state"] for end in stack.ends(request_id)] == ["reported"]
    serves_again(stack, customer)


def test_envoys_container_comes_back(stack: Stack, customer: Customer) -> None:
    """Started again it finds its files in the shared folder, and the sidecar."""
    docker("restart", "--time", "1", stack.container("envoy"))
    stack.healthy("envoy")
    serves_again(stack, customer)


def test_redis_keeps_every_balance_over_its_death(stack: Stack, customer: Customer) -> None:
    """Killed and started again it has what was answered: the append-only file is in its volume."""
    serves_again(stack, customer)
    charged = stack.charged(customer)
    docker("kill", stack.container("redis"))
    docker("start", stack.container("redis"))
    stack.healthy("redis")
    assert stack.wallet(customer) == (0, charged)


def test_an_edit_of_the_yaml_is_live(stack: Stack, customer: Customer) -> None:
    """A new name of a model, written into the folder on the outside, is served within seconds, without a restart."""
    since = stack.inspect("sidecar")["State"]["StartedAt"], stack.inspect("envoy")["State"]["StartedAt"]
    path = stack.config / "models.yaml"
    before = path.read_text()
    edited = yaml.safe_load(before)
    edited["models"]["gpt-5-mini"]["aliases"] = ["brand-new"]
    path.write_text(yaml.safe_dump(edited))
    client = stack.openai(customer)
    eventually(lambda: served(client, "brand-new"), "the new name", BACK_SECONDS)
    assert since == (stack.inspect("sidecar")["State"]["StartedAt"], stack.inspect("envoy")["State"]["StartedAt"])
    path.write_text(before)


def test_a_new_channel_is_live_with_a_key_that_only_envoy_knows(stack: Stack, customer: Customer) -> None:
    """A new cluster goes through the shared folder to Envoy, which puts in what it has in its own environment."""
    path = stack.config / "channels.yaml"
    before = path.read_text()
    path.write_text(before.replace("/openai/v1\n", "/openai-two/v1\n    credential: env:DEMO_KEY\n"))
    client = stack.openai(customer)

    def asked() -> list[Any]:
        found: list[Any] = stack.vendor("GET", "received?vendor=openai-two") if served(client) else []
        return found

    found = eventually(asked, "a call there", BACK_SECONDS)
    assert found[-1]["headers"]["authorization"] == "Bearer only-envoy-is-told"
    everything = stack.inside("sidecar", "bash", "-c", "env; cat -v /data/run/*/* /data/run/envoy.yaml")
    assert "DEMO_KEY" in everything
    assert "only-envoy-is-told" not in everything
    path.write_text(before)


def test_everything_adds_up(stack: Stack, customer: Customer) -> None:
    """After all this the audit finds every balance, hold and record in order, and `status` finds nothing wrong."""
    serves_again(stack, customer)
    assert stack.tollgate("audit")["ok"]
    eventually(lambda: stack.tollgate("status")["ok"], "all to be well", BACK_SECONDS)


def serves_again(stack: Stack, customer: Customer) -> None:
    """Wait until a request gets its answer."""
    eventually(lambda: served(stack.openai(customer)), "an answer", BACK_SECONDS)


def served(client: OpenAI, model: str = "gpt-5-mini") -> bool:
    """Whether a request gets its answer."""
    try:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    except openai.APIStatusError:
        return False
    return True
