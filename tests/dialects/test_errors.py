"""Each refusal in each dialect is what the official SDK makes its own exception of."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai.errors import APIError, ClientError, ServerError
from google.genai.types import HttpOptions

from extproc import errors
from extproc.core.catalog import Dialect
from extproc.dialects.errors import error_body
from extproc.errors import Family, Refusal

REQUEST_ID = "0b1e7d2c-7f3a-4c55-9c1e-0d6f1f9a2b34"
REFUSALS = {name: value for name, value in vars(errors).items() if isinstance(value, Refusal)}
EVERY = pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)


def answering(dialect: Dialect, refusal: Refusal) -> httpx2.Client:
    """An HTTP client whose every request is refused like this."""
    body = error_body(dialect, refusal, REQUEST_ID)
    answer = httpx2.Response(refusal.status, content=body, headers={"content-type": "application/json"})
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))


OPENAI_CLASSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    402: openai.APIStatusError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}
ANTHROPIC_CLASSES = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    402: anthropic.APIStatusError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
    503: anthropic.InternalServerError,
}


@EVERY
def test_openais_sdk_reads_it(refusal: Refusal) -> None:
    """The exception has the class of its status, and `code`, `param`, `type` and message as attributes."""
    client = openai.OpenAI(api_key="sk-x", http_client=answering(Dialect.OPENAI, refusal), max_retries=0)
    with client, pytest.raises(OPENAI_CLASSES[refusal.status]) as raised:
        client.models.list()
    error = raised.value
    body: Any = error.body
    assert (error.status_code, error.code, error.param) == (refusal.status, refusal.code, refusal.param)
    assert error.type
    assert refusal.message in str(error)
    assert body.get("reason") == refusal.reason


@EVERY
def test_anthropics_sdk_reads_it(refusal: Refusal) -> None:
    """The exception has the class of its status, and a body whose error has a type of Anthropic's."""
    client = anthropic.Anthropic(api_key="sk-x", http_client=answering(Dialect.ANTHROPIC, refusal), max_retries=0)
    with client, pytest.raises(ANTHROPIC_CLASSES[refusal.status]) as raised:
        client.models.list()
    body: Any = raised.value.body
    assert body["error"]["message"] == refusal.message
    assert body["error"]["code"] == refusal.code
    assert body["error"].get("reason") == refusal.reason
    assert body["request_id"] == REQUEST_ID


@EVERY
def test_googles_sdk_reads_it(refusal: Refusal) -> None:
    """The exception is the client's or the server's fault, with Google's status word, message and details."""
    options = HttpOptions(httpx_client=answering(Dialect.GEMINI, refusal), base_url="http://tollgate.test")
    with genai.Client(api_key="sk-x", http_options=options) as client, pytest.raises(APIError) as raised:
        client.models.get(model="m")
    error = raised.value
    assert type(error) is (ClientError if refusal.status < 500 else ServerError)
    assert (error.code, error.message) == (refusal.status, refusal.message)
    info, request = error.details["error"]["details"]
    assert info["reason"] == refusal.code.upper()
    assert info["metadata"].get("reason") == refusal.reason
    assert request["requestId"] == REQUEST_ID


SHAPES: dict[Dialect, Any] = {
    Dialect.OPENAI: {
        "error": {"message": str, "type": str, "param": (str, type(None)), "code": str},
        "request_id": str,
    },
    Dialect.ANTHROPIC: {"type": str, "error": {"type": str, "message": str, "code": str}, "request_id": str},
    Dialect.GEMINI: {"error": {"code": int, "message": str, "status": str, "details": list}},
}


def differences(value: Any, shape: Any, at: str = "") -> list[str]:
    """Where a value has not this shape. Only `reason` may be there besides."""
    if not isinstance(shape, dict):
        return [] if isinstance(value, shape) else [at]
    odd = [f"{at}.{name}" for name in set(value) ^ set(shape) - {"reason"} if name != "reason"]
    return odd + [
        at_ for name in set(shape) & set(value) for at_ in differences(value[name], shape[name], f"{at}.{name}")
    ]


@EVERY
@pytest.mark.parametrize("dialect", Dialect)
def test_the_shape_does_not_depend_on_the_refusal(dialect: Dialect, refusal: Refusal) -> None:
    """Every refusal has the members of its dialect, of their types, and the request id."""
    body = error_body(dialect, refusal, REQUEST_ID)
    assert differences(json.loads(body), SHAPES[dialect]) == []
    assert REQUEST_ID.encode() in body


@pytest.mark.parametrize(
    ("family", "openai_type", "anthropic_type", "google_status"),
    [
        (Family.AUTHENTICATION, "invalid_request_error", "authentication_error", "UNAUTHENTICATED"),
        (Family.PERMISSION, "invalid_request_error", "permission_error", "PERMISSION_DENIED"),
        (Family.BILLING, "insufficient_quota", "billing_error", "FAILED_PRECONDITION"),
        (Family.INVALID_REQUEST, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        (Family.NOT_FOUND, "invalid_request_error", "not_found_error", "NOT_FOUND"),
        (Family.RATE_LIMIT, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (Family.UNAVAILABLE, "server_error", "overloaded_error", "UNAVAILABLE"),
        (Family.INTERNAL, "server_error", "api_error", "INTERNAL"),
    ],
)
def test_the_word_for_each_family(family: Family, openai_type: str, anthropic_type: str, google_status: str) -> None:
    """Each vendor has a word of its own for each kind of error."""
    refusal = Refusal(499, family, "code", "message")
    told = {dialect: json.loads(error_body(dialect, refusal, "id"))["error"] for dialect in Dialect}
    assert told[Dialect.OPENAI]["type"] == openai_type
    assert told[Dialect.ANTHROPIC]["type"] == anthropic_type
    assert told[Dialect.GEMINI]["status"] == google_status


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("family", Family)
def test_every_family_has_a_word_in_every_dialect(dialect: Dialect, family: Family) -> None:
    """A family that is added later cannot be forgotten in one of them."""
    assert error_body(dialect, Refusal(400, family, "code", "message"), "id")


@pytest.mark.parametrize("dialect", Dialect)
def test_what_the_caller_sent_cannot_break_the_body(dialect: Dialect) -> None:
    """A message that repeats a caller's model name is JSON whatever is in the name."""
    message = "no model 'x\"}\n\x00</script>é😀' here"
    refusal = errors.MODEL_NOT_FOUND.saying(message, "model")
    assert json.loads(error_body(dialect, refusal, REQUEST_ID))["error"]["message"] == message
