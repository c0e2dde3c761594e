"""Every operation as the official SDKs call it; a sync and an async client take the same arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
from anthropic import Anthropic, AsyncAnthropic
from google import genai
from google.genai import types
from openai import AsyncOpenAI, OpenAI

CHAT_MODEL, EMBEDDING_MODEL = "gpt-5", "text-embedding-3-small"
CLAUDE_MODEL = "claude-opus-4-5"
GEMINI_MODEL, GEMINI_EMBEDDING_MODEL = "gemini-2.5-pro", "gemini-embedding-001"

FIRST_VECTOR = [-0.5, -0.4375, -0.375, -0.3125, -0.25, -0.1875, -0.125, -0.0625]
"""The simulator's embedding of a first input."""

Client = Any
"""OpenAI, Anthropic, genai.Client, or their async twins: what they have in common has no type."""


def openai_client(url: str, key: str, is_async: bool = False) -> Client:
    """The official OpenAI client. No retries: every request must be seen."""
    kind, http = (AsyncOpenAI, httpx2.AsyncClient) if is_async else (OpenAI, httpx2.Client)
    return kind(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http(verify=False, timeout=60))  # type: ignore[arg-type]


def anthropic_client(url: str, key: str, is_async: bool = False) -> Client:
    """The official Anthropic client."""
    kind, http = (AsyncAnthropic, httpx2.AsyncClient) if is_async else (Anthropic, httpx2.Client)
    return kind(base_url=url, api_key=key, max_retries=0, http_client=http(verify=False, timeout=60))  # type: ignore[arg-type]


def gemini_client(url: str, key: str, is_async: bool = False, version: str | None = None) -> Client:
    """The official Google client; without a version, the one it chooses itself."""
    options = types.HttpOptions(
        base_url=url,
        api_version=version,
        httpx_client=httpx2.Client(verify=False, timeout=60),
        httpx_async_client=httpx2.AsyncClient(verify=False, timeout=60),
    )
    client = genai.Client(api_key=key, http_options=options)
    return client.aio if is_async else client


def vertex_client(url: str, key: str) -> Client:
    """Google's client in its other mode, with a key alone."""
    options = types.HttpOptions(base_url=url, httpx_client=httpx2.Client(verify=False, timeout=60))
    return genai.Client(vertexai=True, api_key=key, http_options=options)


@dataclass(frozen=True)
class Call:
    """One way to call. `says` are the classes of usage its answer has words for; `text` reads an answer or an event."""

    name: str
    operation: str
    model: str
    client: Callable[[str, str, bool], Client]
    ask: Callable[[Client, str], Any]
    text: Callable[[Any], str]
    stream: bool = False
    says: tuple[str, ...] = ("input", "output", "cached", "cache_write", "reasoning")
    expect: str | None = None
    """The text; by default the simulator's words."""


def run(call: Call, client: Client, prompt: str) -> str:
    """The text of a whole call."""
    answer = call.ask(client, prompt)
    return "".join(call.text(event) for event in answer) if call.stream else call.text(answer)


async def run_async(call: Call, client: Client, prompt: str) -> str:
    """The same with an async client."""
    answer = await call.ask(client, prompt)
    return "".join([call.text(event) async for event in answer]) if call.stream else call.text(answer)


def _openai_calls() -> list[Call]:
    def chat(client: Client, prompt: str, **more: Any) -> Any:
        return client.chat.completions.create(model=CHAT_MODEL, messages=[{"role": "user", "content": prompt}], **more)

    def respond(client: Client, prompt: str, **more: Any) -> Any:
        return client.responses.create(model=CHAT_MODEL, input=prompt, **more)

    def embed(client: Client, prompt: str, **more: Any) -> Any:
        return client.embeddings.create(model=EMBEDDING_MODEL, input=[prompt], **more)

    def chat_piece(chunk: Any) -> str:
        return (chunk.choices[0].delta.content or "") if chunk.choices else ""

    def response_piece(event: Any) -> str:
        return event.delta if event.type == "response.output_text.delta" else ""

    def vector(answer: Any) -> str:
        return str(answer.data[0].embedding)

    asked = {"stream": True, "stream_options": {"include_usage": True}}
    one, embedding = ("openai.chat", CHAT_MODEL, openai_client), ("openai.embeddings", EMBEDDING_MODEL, openai_client)
    other = ("openai.responses", CHAT_MODEL, openai_client)
    says, expect = ("input",), str(FIRST_VECTOR)
    return [
        Call("chat", *one, chat, lambda answer: answer.choices[0].message.content),
        Call("chat stream", *one, lambda c, p: chat(c, p, stream=True), chat_piece, stream=True),
        Call("chat stream usage asked", *one, lambda c, p: chat(c, p, **asked), chat_piece, stream=True),
        Call("responses", *other, respond, lambda answer: answer.output_text),
        Call("responses stream", *other, lambda c, p: respond(c, p, stream=True), response_piece, stream=True),
        Call("embeddings", *embedding, embed, vector, says=says, expect=expect),
        Call(
            "embeddings float",
            *embedding,
            lambda c, p: embed(c, p, encoding_format="float"),
            vector,
            says=says,
            expect=expect,
        ),
    ]


def _anthropic_calls(name: str, prefix: str) -> list[Call]:
    def client(url: str, key: str, is_async: bool) -> Client:
        return anthropic_client(url + prefix, key, is_async)

    def create(client: Client, prompt: str, **more: Any) -> Any:
        messages = [{"role": "user", "content": prompt}]
        return client.messages.create(model=CLAUDE_MODEL, max_tokens=1000, messages=messages, **more)

    def count(client: Client, prompt: str) -> Any:
        return client.messages.count_tokens(model=CLAUDE_MODEL, messages=[{"role": "user", "content": prompt}])

    def piece(event: Any) -> str:
        return event.delta.text if event.type == "content_block_delta" else ""

    one = ("anthropic.messages", CLAUDE_MODEL, client)
    counting = ("anthropic.count_tokens", CLAUDE_MODEL, client)
    return [
        Call(f"messages {name}", *one, create, lambda answer: answer.content[0].text),
        Call(f"messages stream {name}", *one, lambda c, p: create(c, p, stream=True), piece, stream=True),
        Call(f"count_tokens {name}", *counting, count, lambda answer: str(answer.input_tokens), says=()),
    ]


def _gemini_calls(name: str, prefix: str, version: str | None) -> list[Call]:
    def client(url: str, key: str, is_async: bool) -> Client:
        return gemini_client(url + prefix, key, is_async, version)

    def generate(client: Client, prompt: str) -> Any:
        return client.models.generate_content(model=GEMINI_MODEL, contents=prompt)

    def stream(client: Client, prompt: str) -> Any:
        return client.models.generate_content_stream(model=GEMINI_MODEL, contents=prompt)

    def embed(client: Client, prompt: str) -> Any:
        return client.models.embed_content(model=GEMINI_EMBEDDING_MODEL, contents=prompt)

    def count(client: Client, prompt: str) -> Any:
        return client.models.count_tokens(model=GEMINI_MODEL, contents=prompt)

    one, says = ("gemini.generate", GEMINI_MODEL, client), ("input", "output", "cached", "reasoning")
    embedding = ("gemini.batch_embed", GEMINI_EMBEDDING_MODEL, client)
    counting = ("gemini.count_tokens", GEMINI_MODEL, client)
    expect = str(FIRST_VECTOR)
    return [
        Call(f"generate {name}", *one, generate, lambda answer: answer.text, says=says),
        Call(f"generate stream {name}", *one, stream, lambda chunk: chunk.text or "", stream=True, says=says),
        Call(
            f"embed {name}",
            *embedding,
            embed,
            lambda answer: str(answer.embeddings[0].values),
            says=("input",),
            expect=expect,
        ),
        Call(f"count_tokens {name}", *counting, count, lambda answer: str(answer.total_tokens), says=()),
    ]


CALLS = [
    *_openai_calls(),
    *_anthropic_calls("at /v1", ""),
    *_anthropic_calls("at /claude/v1", "/claude"),
    *_gemini_calls("by default", "", None),
    *_gemini_calls("at /v1beta", "", "v1beta"),
    *_gemini_calls("at /gemini/v1beta", "/gemini", "v1beta"),
]
PRICED_CALLS = [call for call in CALLS if call.says]
FREE_CALLS = [call for call in CALLS if not call.says]
