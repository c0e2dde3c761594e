"""Answers the sidecar gives in Envoy's place: refusals and model lists."""

from collections.abc import Sequence

from extproc import names
from extproc.core.catalog import Dialect, Model
from extproc.dialects.errors import error_body
from extproc.dialects.model_lists import model_list
from extproc.errors import Refusal
from extproc.wire import codec
from extproc.wire.pb.ext_proc_pb2 import ProcessingResponse


def refuse(refusal: Refusal, dialect: Dialect, request_id: str) -> ProcessingResponse:
    """The refusal in the caller's dialect. Its details begin with our prefix, so Envoy leaves the body as it is."""
    headers = {}
    if refusal.retry_after_seconds is not None:
        headers["retry-after"] = str(refusal.retry_after_seconds)
    prefix = names.UNSURE_DETAILS_PREFIX if refusal.unsure else names.DETAILS_PREFIX
    details = prefix + (refusal.reason or refusal.code)
    return codec.immediate(refusal.status, error_body(dialect, refusal, request_id), details, headers)


def list_models(dialect: Dialect, models: Sequence[Model]) -> ProcessingResponse:
    """The model list in the caller's dialect."""
    return codec.immediate(200, model_list(dialect, models), names.DETAILS_PREFIX + "models", {})
