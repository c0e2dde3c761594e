"""The model list, as each dialect words it. The fields are those the official SDKs require."""

from collections.abc import Sequence
from typing import Any

import msgspec

from extproc.core.catalog import Dialect, Model

_NO_DATE = "1970-01-01T00:00:00Z"
"""Tollgate does not know when a vendor published a model; both SDKs insist on a date."""


def model_list(dialect: Dialect, models: Sequence[Model]) -> bytes:
    """The JSON a client of this dialect expects for these models."""
    return msgspec.json.encode(_SHAPES[dialect](models))


def _openai(models: Sequence[Model]) -> dict[str, Any]:
    data = [{"id": model.name, "object": "model", "created": 0, "owned_by": "tollgate"} for model in models]
    return {"object": "list", "data": data}


def _anthropic(models: Sequence[Model]) -> dict[str, Any]:
    known = {"type": "model", "created_at": _NO_DATE, "lifecycle": "active"}
    data = [{**known, "id": model.name, "display_name": model.name} for model in models]
    return {
        "data": data,
        "has_more": False,
        "first_id": models[0].name if models else None,
        "last_id": models[-1].name if models else None,
    }


def _google(models: Sequence[Model]) -> dict[str, Any]:
    return {"models": [_google_model(model) for model in models]}


def _google_model(model: Model) -> dict[str, Any]:
    generate = ["generateContent", "streamGenerateContent", "countTokens"]
    return {
        "name": f"models/{model.name}",
        "baseModelId": model.name,
        "displayName": model.name,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": generate if model.generates else ["embedContent", "batchEmbedContents"],
    }


_SHAPES = {Dialect.OPENAI: _openai, Dialect.ANTHROPIC: _anthropic, Dialect.GEMINI: _google}
