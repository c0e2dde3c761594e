"""The model list of each dialect is what its official SDK reads."""

import json

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
from extproc.core.pricing import FREE, Price, Terms
from extproc.dialects.model_lists import model_list
from tests.core.samples import RATES

WRITER = Model("writer", (Price(Terms(RATES)),), generates=True, max_output_tokens=4_096)
EMBEDDER = Model("embedder", (Price(Terms(FREE)),), generates=False, max_output_tokens=0)
MODELS = pytest.mark.parametrize("models", [[], [WRITER], [EMBEDDER, WRITER]], ids=["none", "one", "two"])


def listing(dialect: Dialect, models: list[Model]) -> httpx2.Client:
    """An HTTP client whose every request is answered with this list."""
    headers = {"content-type": "application/json"}
    answer = httpx2.Response(200, content=model_list(dialect, models), headers=headers)
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))


@MODELS
def test_openais_sdk_reads_it(models: list[Model]) -> None:
    """The page has the models in order."""
    with openai.OpenAI(api_key="sk-x", http_client=listing(Dialect.OPENAI, models)) as client:
        page = client.models.list()
    assert page.object == "list"
    assert [model.id for model in page.data] == [model.name for model in models]


@MODELS
def test_anthropics_sdk_reads_it(models: list[Model]) -> None:
    """The page has the models in order and no further page."""
    with anthropic.Anthropic(api_key="sk-x", http_client=listing(Dialect.ANTHROPIC, models)) as client:
        page = client.models.list()
    names = [model.name for model in models]
    assert [model.id for model in page.data] == names
    assert [model.id for model in page] == names
    assert (page.first_id, page.last_id) == ((names[0], names[-1]) if names else (None, None))


@pytest.mark.parametrize(("dialect", "kind"), [(Dialect.OPENAI, OpenAIModel), (Dialect.ANTHROPIC, ModelInfo)])
@pytest.mark.parametrize("model", [WRITER, EMBEDDER], ids=["writer", "embedder"])
def test_every_field_that_the_sdk_requires_is_there(dialect: Dialect, kind: type[BaseModel], model: Model) -> None:
    """An entry is valid for the SDK's own type, which the SDK itself does not check."""
    for entry in json.loads(model_list(dialect, [model]))["data"]:
        kind.model_validate_json(json.dumps(entry), strict=True)


@MODELS
def test_googles_sdk_reads_it(models: list[Model]) -> None:
    """The list has the models in order, under the names that Google's API gives them."""
    options = HttpOptions(httpx_client=listing(Dialect.GEMINI, models), base_url="http://tollgate.test")
    with genai.Client(api_key="sk-x", http_options=options) as client:
        found = list(client.models.list())
    assert [model.name for model in found] == [f"models/{model.name}" for model in models]


@pytest.mark.parametrize(
    ("model", "actions"),
    [
        (WRITER, ["generateContent", "streamGenerateContent", "countTokens"]),
        (EMBEDDER, ["embedContent", "batchEmbedContents"]),
    ],
)
def test_googles_list_tells_what_a_model_can_do(model: Model, actions: list[str]) -> None:
    """An embedding model is not listed as one that generates."""
    options = HttpOptions(httpx_client=listing(Dialect.GEMINI, [model]), base_url="http://tollgate.test")
    with genai.Client(api_key="sk-x", http_options=options) as client:
        assert next(iter(client.models.list())).supported_actions == actions
