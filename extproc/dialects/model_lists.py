"""The models there are, as each dialect words them. The fields are those the official SDKs require or know.

OpenAI's and Anthropic's clients take further members, so the price is one. Google's do not: there it is in the text
that describes a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from extproc.core.catalog import Dialect, Model
from extproc.core.pricing import ONE
from extproc.dialects import routes
from extproc.dialects.price_list import price_list

_NO_DATE = "1970-01-01T00:00:00Z"
"""Tollgate does not know when a vendor published a model; both SDKs insist on a date."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a list, and when: what its key pays of every price (in millionths), by the prices of then (Unix ms)."""

    multiplier_ppm: int = ONE
    discount_ppm: int = ONE
    now_ms: int = 0

    def pricing(self, model: Model) -> dict[str, Any]:
        """What a model costs this reader."""
        return price_list(model.price_at(self.now_ms), self.multiplier_ppm, self.discount_ppm)


def model_list(dialect: Dialect, models: Sequence[Model], reader: Reader) -> bytes:
    """The JSON a client of this dialect expects for these models."""
    entry, shape = _SHAPES[dialect]
    return msgspec.json.encode(shape([entry(model, reader) for model in models]))


def single_model(dialect: Dialect, model: Model, reader: Reader) -> bytes:
    """The JSON a client of this dialect expects for one model."""
    entry, _ = _SHAPES[dialect]
    return msgspec.json.encode(entry(model, reader))


Entry = dict[str, Any]


def _openai_model(model: Model, reader: Reader) -> Entry:
    known = {"id": model.name, "object": "model", "created": 0, "owned_by": "tollgate"}
    return known | _window(model, "context_window") | {"pricing": reader.pricing(model)}


def _openai_list(entries: list[Entry]) -> Entry:
    return {"object": "list", "data": entries}


def _anthropic_model(model: Model, reader: Reader) -> Entry:
    known = {"type": "model", "created_at": _NO_DATE, "lifecycle": "active"}
    named = {"id": model.name, "display_name": model.name}
    return known | named | _window(model, "max_input_tokens") | {"pricing": reader.pricing(model)}


def _anthropic_list(entries: list[Entry]) -> Entry:
    return {
        "data": entries,
        "has_more": False,
        "first_id": entries[0]["id"] if entries else None,
        "last_id": entries[-1]["id"] if entries else None,
    }


def _google_model(model: Model, reader: Reader) -> Entry:
    return {
        "name": f"models/{model.name}",
        "baseModelId": model.name,
        "displayName": model.name,
        "description": _described(reader.pricing(model)),
        **_window(model, "inputTokenLimit"),
        "supportedGenerationMethods": _methods(model, reader),
    }


def _methods(model: Model, reader: Reader) -> list[str]:
    if model.generates:
        return ["generateContent", "streamGenerateContent", "countTokens"]
    units = model.price_at(reader.now_ms).units
    draws = any(unit.rate.kind in routes.PREDICT.units for unit in units)
    return ["predict"] if draws else ["embedContent", "batchEmbedContents"]


def _google_list(entries: list[Entry]) -> Entry:
    return {"models": entries}


def _window(model: Model, name: str) -> Entry:
    return {name: model.context_window} if model.context_window else {}


def _described(pricing: Entry) -> str:
    """The prices that need no table, for a person: `USD per million tokens: input 1.25, output 10`."""
    tokens = ", ".join(f"{name} {usd}" for name, usd in pricing.items() if isinstance(usd, str) and name != "per_call")
    call = f"USD per call: {pricing['per_call']}" if "per_call" in pricing else ""
    return "; ".join(part for part in (f"USD per million tokens: {tokens}" if tokens else "", call) if part)


_SHAPES = {
    Dialect.OPENAI: (_openai_model, _openai_list),
    Dialect.ANTHROPIC: (_anthropic_model, _anthropic_list),
    Dialect.GEMINI: (_google_model, _google_list),
}
