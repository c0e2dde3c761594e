"""The model list of each dialect, and each model in it, is what its official SDK reads."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import ModelInfo
from google import genai
from google.genai.types import HttpOptions
from openai.types import Model as OpenAIModel
from pydantic import BaseModel

from extproc.core.catalog import Dialect, Model
from extproc.core.pricing import FREE, Price, Rates, Terms, UnitKind, UnitPrice, UnitRate
from extproc.dialects.model_lists import Reader, model_list, single_model

RATES = Rates.of(input=2_000_000_000, output=8_000_000_000, cache_read=500_000_000, cache_write=2_500_000_000)
WRITER = Model("writer", (Price(Terms(RATES)),), generates=True, max_output_tokens=4_096, context_window=200_000)
EMBEDDER = Model("org/embedder:v1", (Price(Terms(FREE)),), generates=False, max_output_tokens=0)
PAINTER = Model("painter", (Price(Terms(FREE), (UnitPrice(UnitRate(UnitKind.IMAGE, 40), {}),)),), False, 0)
MODELS = pytest.mark.parametrize("models", [[], [WRITER], [EMBEDDER, WRITER]], ids=["none", "one", "two"])
EACH = pytest.mark.parametrize("model", [WRITER, EMBEDDER], ids=["writer", "embedder"])
READER = Reader(multiplier_ppm=950_000, now_ms=1_700_000_000_000)

PAID = {"input": "1.9", "cache_read": "0.475", "cache_write": "2.375", "output": "7.6"}
"""What `RATES` are at 0.95."""


def client(content: bytes) -> httpx2.Client:
    """An HTTP client whose every request is answered with this."""
    answer = httpx2.Response(200, content=content, headers={"content-type": "application/json"})
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))


def listing(dialect: Dialect, models: list[Model]) -> httpx2.Client:
    """An HTTP client whose every request is answered with this list."""
    return client(model_list(dialect, models, READER))


def entry(dialect: Dialect, model: Model) -> dict[str, Any]:
    """The model as this dialect words it."""
    found: dict[str, Any] = json.loads(single_model(dialect, model, READER))
    return found


@MODELS
def test_openais_sdk_reads_it(models: list[Model]) -> None:
    """The page has the models in order."""
    with openai.OpenAI(api_key="sk-x", http_client=listing(Dialect.OPENAI, models)) as sdk:
        page = sdk.models.list()
    assert page.object == "list"
    assert [model.id for model in page.data] == [model.name for model in models]


@MODELS
def test_anthropics_sdk_reads_it(models: list[Model]) -> None:
    """The page has the models in order and no further page."""
    with anthropic.Anthropic(api_key="sk-x", http_client=listing(Dialect.ANTHROPIC, models)) as sdk:
        page = sdk.models.list()
    names = [model.name for model in models]
    assert [model.id for model in page.data] == names
    assert [model.id for model in page] == names
    assert (page.first_id, page.last_id) == ((names[0], names[-1]) if names else (None, None))


@pytest.mark.parametrize(("dialect", "kind"), [(Dialect.OPENAI, OpenAIModel), (Dialect.ANTHROPIC, ModelInfo)])
@EACH
def test_every_field_that_the_sdk_requires_is_there(dialect: Dialect, kind: type[BaseModel], model: Model) -> None:
    """An entry is valid for the SDK's own type, which the SDK itself does not check."""
    kind.model_validate_json(json.dumps(entry(dialect, model)), strict=True)


@pytest.mark.parametrize("dialect", Dialect)
@EACH
def test_a_single_model_is_as_in_the_list(dialect: Dialect, model: Model) -> None:
    """Asked for alone or with others, a model is told of in the same words."""
    listed = json.loads(model_list(dialect, [model], READER))
    assert (listed.get("data") or listed["models"]) == [entry(dialect, model)]


@EACH
def test_each_sdk_reads_a_single_model(model: Model) -> None:
    """All three find the model under its own name, and what room they have for its size."""
    asked = {dialect: client(single_model(dialect, model, READER)) for dialect in Dialect}
    google = HttpOptions(httpx_client=asked[Dialect.GEMINI], base_url="http://tollgate.test")
    with (
        openai.OpenAI(api_key="sk-x", http_client=asked[Dialect.OPENAI]) as of_openai,
        anthropic.Anthropic(api_key="sk-x", http_client=asked[Dialect.ANTHROPIC]) as of_anthropic,
        genai.Client(api_key="sk-x", http_options=google) as of_google,
    ):
        assert of_openai.models.retrieve(model.name).id == model.name
        claude, gemini = of_anthropic.models.retrieve(model.name), of_google.models.get(model=model.name)
    assert (claude.id, gemini.name) == (model.name, f"models/{model.name}")
    assert claude.max_input_tokens == gemini.input_token_limit == (model.context_window or None)


@pytest.mark.parametrize(
    ("dialect", "member"),
    [(Dialect.OPENAI, "context_window"), (Dialect.ANTHROPIC, "max_input_tokens"), (Dialect.GEMINI, "inputTokenLimit")],
)
def test_the_context_window(dialect: Dialect, member: str) -> None:
    """It is told where the YAML says it, and left out where it does not."""
    assert entry(dialect, WRITER)[member] == 200_000
    assert member not in entry(dialect, EMBEDDER)


@pytest.mark.parametrize("dialect", [Dialect.OPENAI, Dialect.ANTHROPIC])
def test_the_price(dialect: Dialect) -> None:
    """A model says what its reader pays; nothing, where it is free."""
    assert entry(dialect, WRITER)["pricing"] == PAID
    assert entry(dialect, EMBEDDER)["pricing"] == {}


def test_googles_price_is_in_the_description() -> None:
    """Google's clients know no member for it, and a strict one refuses what it does not know."""
    words = "USD per million tokens: input 1.9, cache_read 0.475, cache_write 2.375, output 7.6"
    assert entry(Dialect.GEMINI, WRITER)["description"] == words
    assert entry(Dialect.GEMINI, EMBEDDER)["description"] == ""
    assert "pricing" not in entry(Dialect.GEMINI, WRITER)


@MODELS
def test_googles_sdk_reads_it(models: list[Model]) -> None:
    """The list has the models in order, under the names that Google's API gives them."""
    options = HttpOptions(httpx_client=listing(Dialect.GEMINI, models), base_url="http://tollgate.test")
    with genai.Client(api_key="sk-x", http_options=options) as sdk:
        found = list(sdk.models.list())
    assert [model.name for model in found] == [f"models/{model.name}" for model in models]


@pytest.mark.parametrize(
    ("model", "actions"),
    [
        (WRITER, ["generateContent", "streamGenerateContent", "countTokens"]),
        (EMBEDDER, ["embedContent", "batchEmbedContents"]),
        (PAINTER, ["predict"]),
    ],
)
def test_googles_list_tells_what_a_model_can_do(model: Model, actions: list[str]) -> None:
    """An embedding model is not listed as one that generates."""
    options = HttpOptions(httpx_client=listing(Dialect.GEMINI, [model]), base_url="http://tollgate.test")
    with genai.Client(api_key="sk-x", http_options=options) as sdk:
        assert next(iter(sdk.models.list())).supported_actions == actions
