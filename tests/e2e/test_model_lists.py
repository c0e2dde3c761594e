"""The model directory is authoritative: what is listed can be called, what is not cannot. In each SDK's own words."""

import asyncio

import openai
import pytest

from tests.e2e.harness import HTTP, Customer, Gateway
from tests.e2e.sdks import Client, anthropic_client, gemini_client, openai_client

OPENAI = ["dall-e-3", "fast", "gpt-5", "gpt-5-mini", "gpt-5-nano", "text-embedding-3-small", "tts-1", "whisper-1"]
ANTHROPIC = ["claude-haiku-4-5", "claude-opus-4-5", "claude-sonnet-4-5"]
GEMINI = [
    "gemini-2.5-flash",
    "gemini-2.5-flash-image",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "gemini-embedding-001",
]

LISTS = [
    pytest.param(openai_client, "", OPENAI, id="openai"),
    pytest.param(anthropic_client, "", ANTHROPIC, id="anthropic"),
    pytest.param(anthropic_client, "/claude", ANTHROPIC, id="anthropic at /claude"),
    pytest.param(gemini_client, "", GEMINI, id="gemini"),
    pytest.param(gemini_client, "/gemini", GEMINI, id="gemini at /gemini"),
]


@pytest.fixture(scope="module")
def everyone(demo: Gateway) -> Customer:
    """A key of the group that has all models."""
    return demo.customer()


@pytest.fixture(scope="module")
def coder(demo: Gateway) -> Customer:
    """A key of the group that has Anthropic's models alone."""
    return demo.customer(group="claude-code")


def listed(client: Client) -> list[str]:
    """The ids an SDK's list has, without Google's `models/`."""
    return sorted((getattr(m, "id", None) or m.name).removeprefix("models/") for m in client.models.list())


async def listed_async(client: Client) -> list[str]:
    """The same with an async client; Google's must be awaited first."""
    pager = client.models.list()
    pager = await pager if asyncio.iscoroutine(pager) else pager
    return sorted([(getattr(m, "id", None) or m.name).removeprefix("models/") async for m in pager])


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(("client", "prefix", "models"), LISTS)
def test_each_sdk_lists_what_can_be_called_in_its_dialect(
    demo: Gateway, everyone: Customer, client: Client, prefix: str, models: list[str], is_async: bool
) -> None:
    """All three SDKs ask at their own paths, and get exactly the models their dialect can call."""

    async def ask() -> list[str]:
        return await listed_async(client(demo.url + prefix, everyone.key, True))

    found = asyncio.run(ask()) if is_async else listed(client(demo.url + prefix, everyone.key))

    assert found == models


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("prefix", ["", "/gemini"])
def test_google_may_ask_in_either_version(demo: Gateway, everyone: Customer, prefix: str, version: str) -> None:
    """The Google SDK lists the models under v1 and v1beta, with and without /gemini before them."""
    assert listed(gemini_client(demo.url + prefix, everyone.key, version=version)) == GEMINI


@pytest.mark.parametrize(
    ("client", "models"), [(openai_client, []), (anthropic_client, ANTHROPIC), (gemini_client, [])]
)
def test_a_key_sees_its_own_groups_models_alone(
    demo: Gateway, coder: Customer, client: Client, models: list[str]
) -> None:
    """Two keys of one platform have different lists: the group on the key decides."""
    assert listed(client(demo.url, coder.key)) == models


def called(client: Client, model: str) -> None:
    """Ask a model something, in whichever way this SDK and this model have."""
    messages = [{"role": "user", "content": "Hello"}]
    if "embedding" in model:
        google = hasattr(client.models, "embed_content")
        client.models.embed_content(model=model, contents="Hello") if google else client.embeddings.create(
            model=model, input="Hello"
        )
    elif model == "dall-e-3":
        client.images.generate(model=model, prompt="Hello")
    elif model == "tts-1":
        client.audio.speech.create(model=model, voice="alloy", input="Hello")
    elif model == "whisper-1":
        client.audio.transcriptions.create(model=model, file=("a.mp3", b"ID3 sound"))
    elif hasattr(client, "chat"):
        client.chat.completions.create(model=model, messages=messages)
    elif hasattr(client, "messages"):
        client.messages.create(model=model, max_tokens=9, messages=messages)
    else:
        client.models.generate_content(model=model, contents="Hello")


@pytest.mark.parametrize(
    ("make", "models"), [(openai_client, OPENAI), (anthropic_client, ANTHROPIC), (gemini_client, GEMINI)]
)
def test_what_is_listed_can_be_called(demo: Gateway, everyone: Customer, make: Client, models: list[str]) -> None:
    """Every model of a list answers."""
    client = make(demo.url, everyone.key)

    for model in models:
        called(client, model)


@pytest.mark.parametrize("model", OPENAI)
def test_what_is_not_listed_cannot_be_called(demo: Gateway, coder: Customer, model: str) -> None:
    """A key that does not list a model gets a 404 for it, and no vendor is asked."""
    demo.forget_received()

    with pytest.raises(openai.NotFoundError) as refused:
        called(openai_client(demo.url, coder.key), model)

    assert refused.value.code == "model_not_found"
    assert demo.received() == []


@pytest.mark.parametrize("path", ["/v1/models", "/claude/v1/models", "/gemini/v1beta/models", "/v1beta/models"])
def test_a_list_is_for_valid_keys_and_costs_nothing(demo: Gateway, everyone: Customer, path: str) -> None:
    """Without a key: 401; with one: 200 as JSON with a request id, no charge, and no vendor is asked."""
    demo.forget_received()
    before = demo.wallet(everyone)

    refused = HTTP.get(demo.url + path)
    listed_ = HTTP.get(demo.url + path, headers={"authorization": f"Bearer {everyone.key}"})

    assert (refused.status_code, listed_.status_code) == (401, 200)
    assert listed_.headers["content-type"] == "application/json"
    assert listed_.headers["x-tollgate-request-id"]
    assert demo.wallet(everyone).held_nano == before.held_nano == 0
    assert demo.received() == []


def retrieved(client: Client, model: str) -> str:
    """The id that an SDK's single model has, without Google's `models/`."""
    google = not hasattr(client.models, "retrieve")
    found = client.models.get(model=model) if google else client.models.retrieve(model)
    return str(found.name if google else found.id).removeprefix("models/")


@pytest.mark.parametrize(("client", "prefix", "models"), LISTS)
def test_each_sdk_finds_each_model_of_its_list(demo: Gateway, client: Client, prefix: str, models: list[str]) -> None:
    """Asked for by its name, a model that is listed is there; no vendor is asked, and nothing is charged."""
    demo.forget_received()
    customer = demo.customer()
    sdk = client(demo.url + prefix, customer.key)

    assert [retrieved(sdk, model) for model in models] == models

    assert demo.received() == []
    assert demo.wallet(customer).used_nano == demo.wallet(customer).held_nano == 0


@pytest.mark.parametrize(
    ("client", "model"),
    [
        (openai_client, "gpt-5"),
        (openai_client, "claude-opus-4-5"),
        (anthropic_client, "gpt-5"),
        (anthropic_client, "no/such:model"),
        (gemini_client, "gemini-2.5-pro"),
        (gemini_client, "claude-opus-4-5"),
    ],
)
def test_a_model_that_is_not_listed_is_not_found(demo: Gateway, coder: Customer, client: Client, model: str) -> None:
    """Another group's model, another dialect's, one that nobody has: 404 `model_not_found`, in the SDK's own words."""
    with pytest.raises(Exception, match=r"404|does not exist") as refused:
        retrieved(client(demo.url, coder.key), model)

    told = vars(refused.value)
    assert 404 in (told.get("status_code"), told.get("code"))
    assert "model_not_found" in str(told).lower()


def test_a_list_tells_what_the_key_pays(demo: Gateway, everyone: Customer, coder: Customer) -> None:
    """The same model costs the coders' group five percent less, and its list says so."""
    told = {
        key: next(m for m in anthropic_client(demo.url, key).models.list() if m.id == "claude-opus-4-5").pricing
        for key in (everyone.key, coder.key)
    }

    names = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
    assert told[everyone.key] == dict(zip(names, ("5", "0.5", "6.25", "10", "25"), strict=True))
    assert told[coder.key] == dict(zip(names, ("4.75", "0.475", "5.9375", "9.5", "23.75"), strict=True))
