"""What the sidecar answers in Envoy's place."""

import json
from dataclasses import replace

import pytest

from extproc import errors
from extproc.core.catalog import Dialect
from extproc.core.ledger import HoldResult, Outcome
from extproc.core.rate import Level
from extproc.dialects.errors import error_body
from extproc.dialects.model_lists import Reader, model_list, single_model
from extproc.errors import INTERNAL, LEDGER_AWAY, NO_KEY, WALLET, Refusal
from extproc.names import RATE_HEADERS
from extproc.wire.pb.ext_proc_pb2 import ProcessingResponse
from extproc.wire.replies import list_models, rate_headers, refuse, show_model
from tests.core.samples import MODEL

READER = Reader(multiplier_ppm=950_000, now_ms=1_700_000_000_000)
REFUSALS = {name: value for name, value in vars(errors).items() if isinstance(value, Refusal)}


def headers_of(response: ProcessingResponse) -> dict[str, bytes]:
    """The headers of an answer in Envoy's place."""
    return {h.header.key: h.header.raw_value for h in response.immediate_response.headers.set_headers}


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal(dialect: Dialect, refusal: Refusal) -> None:
    """It has the refusal's status, the dialect's body, JSON, and details that Envoy's local replies pass over."""
    answer = refuse(refusal, dialect, "id-1").immediate_response
    assert answer.status.code == refusal.status
    assert answer.body == error_body(dialect, refusal, "id-1")
    assert answer.details.startswith("tollgate_")
    assert " " not in answer.details
    assert headers_of(refuse(refusal, dialect, "id-1"))["content-type"] == b"application/json"


@pytest.mark.parametrize(
    ("refusal", "details"),
    [
        (NO_KEY, "tollgate_invalid_api_key"),
        (WALLET, "tollgate_billing_shortfall"),
        (LEDGER_AWAY, "tollgate_unsure_ledger_unavailable"),
        (INTERNAL, "tollgate_unsure_internal_error"),
    ],
)
def test_the_details_are_the_most_exact_word(refusal: Refusal, details: str) -> None:
    """The access log tells the reason where there is one, else the code, and whether there may be a hold."""
    assert refuse(refusal, Dialect.OPENAI, "id-1").immediate_response.details == details


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (LEDGER_AWAY, b"2"),
        (Refusal(429, errors.Family.RATE_LIMIT, "c", "m", retry_after_seconds=0), b"0"),
        (WALLET, None),
    ],
)
def test_when_to_try_again(refusal: Refusal, seconds: bytes | None) -> None:
    """A refusal that passes says when; an empty wallet does not, so that nobody retries it."""
    assert headers_of(refuse(refusal, Dialect.OPENAI, "id-1")).get("retry-after") == seconds


def test_what_is_left_of_a_minute_is_told_in_openais_words() -> None:
    """Limit, rest and the time until all is back, by requests and by tokens; a limit that is not there is not told."""
    level = Level(limit=60, remaining=7, reset_ms=53_000, retry_ms=0)
    assert rate_headers(HoldResult(Outcome.HELD)) == {}
    assert rate_headers(HoldResult(Outcome.HELD, requests=level)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "53s",
    }
    both = rate_headers(HoldResult(Outcome.HELD, requests=level, tokens=level))
    assert tuple(both) == RATE_HEADERS


@pytest.mark.parametrize(
    ("reset_ms", "told"),
    [(0, "0ms"), (999, "999ms"), (1_000, "1s"), (1_500, "1.5s"), (60_000, "1m0s"), (90_250, "1m30.25s")],
)
def test_a_time_is_told_as_openai_tells_it(reset_ms: int, told: str) -> None:
    """Milliseconds below a second, minutes from one minute on."""
    assert rate_headers(HoldResult(Outcome.HELD, tokens=Level(1, 0, reset_ms, 0)))["x-ratelimit-reset-tokens"] == told


def test_a_refusal_carries_its_headers() -> None:
    """What a refusal says beside its body reaches the caller."""
    answer = refuse(replace(WALLET, headers=(("x-ratelimit-limit-requests", "60"),)), Dialect.OPENAI, "id-1")
    assert headers_of(answer)["x-ratelimit-limit-requests"] == b"60"


@pytest.mark.parametrize("dialect", Dialect)
def test_a_list_of_models(dialect: Dialect) -> None:
    """It is a 200 with the dialect's list, and details of ours."""
    answer = list_models(dialect, [MODEL], READER).immediate_response
    assert (answer.status.code, answer.details) == (200, "tollgate_models")
    assert answer.body == model_list(dialect, [MODEL], READER)
    assert json.loads(answer.body)


@pytest.mark.parametrize("dialect", Dialect)
def test_one_model(dialect: Dialect) -> None:
    """It is a 200 with the dialect's entry, and details of ours."""
    answer = show_model(dialect, MODEL, READER).immediate_response
    assert (answer.status.code, answer.details) == (200, "tollgate_model")
    assert answer.body == single_model(dialect, MODEL, READER)
