"""The README's calls, into the containers of docker-compose.yml: an SDK in, the simulator as the vendor."""

import ssl

import anthropic
import httpx
from google import genai

from tests.containers.stack import Customer, Stack
from tests.e2e.harness import HTTP

QUESTION = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
NANO = {"gpt-5-mini": (250, 2000), "claude-haiku-4-5": (1000, 5000), "gemini-2.5-flash": (300, 2500)}
"""What a token of input and one of output cost in config/models.yaml."""


def ask(stack: Stack, key: str) -> httpx.Response:
    """The README's curl."""
    return HTTP.post(f"{stack.url}/v1/chat/completions", headers={"authorization": f"Bearer {key}"}, json=QUESTION)


def test_a_key_nobody_made_is_401(stack: Stack) -> None:
    """The sidecar's container is asked, and says who is not known."""
    answer = ask(stack, "sk-not-a-key")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_an_owner_without_money_is_402(stack: Stack) -> None:
    """The Redis container is asked, and says what is missing; the vendor is not."""
    before = len(stack.vendor("GET", "received"))
    answer = ask(stack, stack.customer(usd="0").key)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (402, "billing_shortfall")
    assert len(stack.vendor("GET", "received")) == before


def test_an_answer_of_openai_is_charged_to_the_nano(stack: Stack, customer: Customer) -> None:
    """What the SDK reads as usage, at the prices of the YAML, is what the wallet has lost; nothing stays held."""
    before = stack.charged(customer)
    usage = stack.openai(customer).chat.completions.create(**QUESTION).usage  # type: ignore[call-overload]
    per_input, per_output = NANO["gpt-5-mini"]
    assert stack.charged(customer) - before == per_input * usage.prompt_tokens + per_output * usage.completion_tokens


def test_a_stream_of_openai_is_charged_to_the_nano(stack: Stack, customer: Customer) -> None:
    """A stream's last event tells the usage, which is what is charged."""
    before = stack.charged(customer)
    stream = stack.openai(customer).chat.completions.create(**QUESTION, stream=True)  # type: ignore[call-overload]
    *_, last = list(stream)
    per_input, per_output = NANO["gpt-5-mini"]
    assert (
        stack.charged(customer) - before
        == per_input * last.usage.prompt_tokens + per_output * last.usage.completion_tokens
    )


def test_an_answer_of_anthropic_is_charged_to_the_nano(stack: Stack, customer: Customer) -> None:
    """The same with Anthropic's SDK and dialect."""
    before = stack.charged(customer)
    with anthropic.Anthropic(base_url=stack.url, api_key=customer.key, max_retries=0) as client:
        usage = client.messages.create(
            model="claude-haiku-4-5", max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
        ).usage
    per_input, per_output = NANO["claude-haiku-4-5"]
    assert stack.charged(customer) - before == per_input * usage.input_tokens + per_output * usage.output_tokens


def test_an_answer_of_gemini_is_charged_to_the_nano(stack: Stack, customer: Customer) -> None:
    """The same with Google's SDK and dialect."""
    before = stack.charged(customer)
    client = genai.Client(api_key=customer.key, http_options={"base_url": stack.url})
    usage = client.models.generate_content(model="gemini-2.5-flash", contents="Hello").usage_metadata
    assert usage is not None
    per_input, per_output = NANO["gemini-2.5-flash"]
    assert stack.charged(customer) - before == per_input * (usage.prompt_token_count or 0) + per_output * (
        usage.candidates_token_count or 0
    )


def test_the_same_over_tls(stack: Stack, customer: Customer) -> None:
    """The certificate that was made in the volume is the one that Envoy shows; who trusts it is served, over HTTP/2."""
    context = ssl.create_default_context(cadata=stack.inside("sidecar", "cat", "/data/tls/tls.crt"))
    with httpx.Client(verify=context, trust_env=False, http2=True) as client:
        answer = client.post(
            f"{stack.tls_url}/v1/chat/completions", headers={"authorization": f"Bearer {customer.key}"}, json=QUESTION
        )
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")


def test_what_workers_log_is_the_containers_log(stack: Stack) -> None:
    """Each worker's lines are where `docker compose logs` looks, and in no file that grows."""
    said, _ = stack.compose.get_logs("sidecar")
    assert {f'"worker": {index}' in said for index in range(2)} == {True}
    assert not stack.inside("sidecar", "find", "/data", "-name", "*.log")
