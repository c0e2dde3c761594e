"""Answers the sidecar gives in Envoy's place: refusals, model lists, and what holders ask about their keys."""

from collections.abc import Sequence

from extproc import names
from extproc.core.catalog import Dialect, Model
from extproc.core.ledger import HoldResult
from extproc.dialects.errors import error_body
from extproc.dialects.model_lists import Reader, model_list, single_model
from extproc.errors import Refusal
from extproc.wire import codec
from extproc.wire.pb.ext_proc_pb2 import ProcessingResponse
from extproc.wire.seen import Seen


def refuse(refusal: Refusal, dialect: Dialect, request_id: str, seen: Seen | None = None) -> ProcessingResponse:
    """The refusal in the caller's dialect. Its details begin with our prefix, so Envoy leaves the body as it is."""
    headers = dict(refusal.headers)
    if refusal.retry_after_seconds is not None:
        headers["retry-after"] = str(refusal.retry_after_seconds)
    prefix = names.UNSURE_DETAILS_PREFIX if refusal.unsure else names.DETAILS_PREFIX
    details = prefix + (refusal.reason or refusal.code)
    return codec.immediate(refusal.status, error_body(dialect, refusal, request_id), details, headers, seen)


def rate_headers(result: HoldResult) -> dict[str, str]:
    """What is left of the key's minute, in OpenAI's words and forms; nothing where it is not limited."""
    headers = {}
    for unit, level in (("requests", result.requests), ("tokens", result.tokens)):
        if level is not None:
            headers[f"x-ratelimit-limit-{unit}"] = str(level.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(level.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = _duration(level.reset_ms)
    return headers


def _duration(milliseconds: int) -> str:
    """`250ms`, `1.5s`, `6m0s`."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"


def list_models(dialect: Dialect, models: Sequence[Model], reader: Reader) -> ProcessingResponse:
    """The model list in the caller's dialect."""
    return codec.immediate(200, model_list(dialect, models, reader), names.DETAILS_PREFIX + "models", {})


def show_model(dialect: Dialect, model: Model, reader: Reader) -> ProcessingResponse:
    """One model in the caller's dialect."""
    return codec.immediate(200, single_model(dialect, model, reader), names.DETAILS_PREFIX + "model", {})


def tell_of_key(body: bytes) -> ProcessingResponse:
    """What a holder asked about a key; it changes with every request, so nobody may keep it."""
    return codec.immediate(200, body, names.DETAILS_PREFIX + "own_key", {"cache-control": "no-store"})
