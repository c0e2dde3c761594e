"""How each dialect words a refusal.

Shapes: OpenAI `{"error": {message, type, param, code}}`, Anthropic `{"type": "error", "error": {type, message}}`,
Google `{"error": {code, message, status, details}}`; each with the request id.
"""

from typing import Any

import msgspec

from extproc.core.catalog import Dialect
from extproc.errors import Family, Refusal

_OPENAI = {
    Family.AUTHENTICATION: "invalid_request_error",
    Family.PERMISSION: "invalid_request_error",
    Family.BILLING: "insufficient_quota",
    Family.INVALID_REQUEST: "invalid_request_error",
    Family.NOT_FOUND: "invalid_request_error",
    Family.RATE_LIMIT: "rate_limit_error",
    Family.UNAVAILABLE: "server_error",
    Family.INTERNAL: "server_error",
}
_ANTHROPIC = {
    Family.AUTHENTICATION: "authentication_error",
    Family.PERMISSION: "permission_error",
    Family.BILLING: "billing_error",
    Family.INVALID_REQUEST: "invalid_request_error",
    Family.NOT_FOUND: "not_found_error",
    Family.RATE_LIMIT: "rate_limit_error",
    Family.UNAVAILABLE: "overloaded_error",
    Family.INTERNAL: "api_error",
}
_GOOGLE = {
    Family.AUTHENTICATION: "UNAUTHENTICATED",
    Family.PERMISSION: "PERMISSION_DENIED",
    Family.BILLING: "FAILED_PRECONDITION",
    Family.INVALID_REQUEST: "INVALID_ARGUMENT",
    Family.NOT_FOUND: "NOT_FOUND",
    Family.RATE_LIMIT: "RESOURCE_EXHAUSTED",
    Family.UNAVAILABLE: "UNAVAILABLE",
    Family.INTERNAL: "INTERNAL",
}


def error_body(dialect: Dialect, refusal: Refusal, request_id: str) -> bytes:
    """The refusal as the JSON a caller of this dialect expects."""
    return msgspec.json.encode(_SHAPES[dialect](refusal, request_id))


def _openai(refusal: Refusal, request_id: str) -> dict[str, Any]:
    error = {
        "message": refusal.message,
        "type": _OPENAI[refusal.family],
        "param": refusal.param,
        "code": refusal.code,
    }
    return {"error": error | _reason(refusal), "request_id": request_id}


def _anthropic(refusal: Refusal, request_id: str) -> dict[str, Any]:
    error = {"type": _ANTHROPIC[refusal.family], "message": refusal.message, "code": refusal.code}
    return {"type": "error", "error": error | _reason(refusal), "request_id": request_id}


def _google(refusal: Refusal, request_id: str) -> dict[str, Any]:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": refusal.code.upper(),
        "domain": "tollgate",
        "metadata": _reason(refusal),
    }
    request = {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": request_id}
    return {
        "error": {
            "code": refusal.status,
            "message": refusal.message,
            "status": _GOOGLE[refusal.family],
            "details": [info, request],
        }
    }


def _reason(refusal: Refusal) -> dict[str, str]:
    return {"reason": refusal.reason} if refusal.reason else {}


_SHAPES = {Dialect.OPENAI: _openai, Dialect.ANTHROPIC: _anthropic, Dialect.GEMINI: _google}
