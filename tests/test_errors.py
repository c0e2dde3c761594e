"""The error contract: status, code and reason of every refusal, and who is told of what."""

from dataclasses import FrozenInstanceError

import pytest

from extproc import errors
from extproc.errors import ConfigError, Family, LedgerUnavailable, Refusal, TollgateError

REFUSALS = {name: value for name, value in vars(errors).items() if isinstance(value, Refusal)}

CONTRACT = {
    "NO_KEY": (401, Family.AUTHENTICATION, "invalid_api_key", None, None),
    "INVALID_KEY": (401, Family.AUTHENTICATION, "invalid_api_key", None, None),
    "KEY_DISABLED": (401, Family.AUTHENTICATION, "invalid_api_key", "key_disabled", None),
    "KEY_EXPIRED": (401, Family.AUTHENTICATION, "invalid_api_key", "key_expired", None),
    "OWNER_SUSPENDED": (403, Family.PERMISSION, "permission_denied", "owner_suspended", None),
    "GROUP_NOT_ALLOWED": (403, Family.PERMISSION, "permission_denied", "group_not_allowed", None),
    "IP_NOT_ALLOWED": (403, Family.PERMISSION, "permission_denied", "ip_not_allowed", None),
    "INVALID_REQUEST": (400, Family.INVALID_REQUEST, "invalid_request_error", None, None),
    "UNKNOWN_PATH": (404, Family.NOT_FOUND, "not_found", None, None),
    "MODEL_NOT_FOUND": (404, Family.NOT_FOUND, "model_not_found", None, "model"),
    "TASK_NOT_FOUND": (404, Family.NOT_FOUND, "not_found", None, None),
    "TASK_NOT_MADE": (500, Family.INTERNAL, "internal_error", "task_not_made", None),
    "TASK_CHANNEL_GONE": (503, Family.UNAVAILABLE, "service_unavailable", "task_channel_gone", None),
    "KEY_QUOTA": (402, Family.BILLING, "insufficient_quota", "api_key_quota_exceeded", None),
    "KEY_MONTH": (402, Family.BILLING, "insufficient_quota", "api_key_quota_exceeded", None),
    "MEMBER_QUOTA": (402, Family.BILLING, "insufficient_quota", "member_quota_exceeded", None),
    "TEAM_QUOTA": (402, Family.BILLING, "insufficient_quota", "team_quota_exceeded", None),
    "CONCURRENCY": (429, Family.RATE_LIMIT, "rate_limit_exceeded", "concurrency_limit_reached", None),
    "REQUESTS_PER_MINUTE": (429, Family.RATE_LIMIT, "rate_limit_exceeded", "requests_per_minute_exceeded", None),
    "TOKENS_PER_MINUTE": (429, Family.RATE_LIMIT, "rate_limit_exceeded", "tokens_per_minute_exceeded", None),
    "WALLET": (402, Family.BILLING, "insufficient_quota", "billing_shortfall", None),
    "UPSTREAM_SATURATED": (429, Family.RATE_LIMIT, "upstream_saturated", None, None),
    "NO_CHANNEL": (503, Family.UNAVAILABLE, "service_unavailable", None, None),
    "LEDGER_AWAY": (503, Family.UNAVAILABLE, "service_unavailable", "ledger_unavailable", None),
    "INTERNAL": (500, Family.INTERNAL, "internal_error", None, None),
}
STATUSES = {
    Family.AUTHENTICATION: 401,
    Family.PERMISSION: 403,
    Family.BILLING: 402,
    Family.INVALID_REQUEST: 400,
    Family.NOT_FOUND: 404,
    Family.RATE_LIMIT: 429,
    Family.UNAVAILABLE: 503,
    Family.INTERNAL: 500,
}


def test_the_contract() -> None:
    """These are all the refusals, with the words that programs rely on."""
    found = {name: (r.status, r.family, r.code, r.reason, r.param) for name, r in REFUSALS.items()}
    assert found == CONTRACT


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_has_the_status_of_its_family(refusal: Refusal) -> None:
    """The same kind of error has the same status, and each is told in a sentence."""
    assert refusal.status == STATUSES[refusal.family]
    assert refusal.message.endswith(".")


def test_only_what_passes_by_itself_says_when_to_try_again() -> None:
    """A `Retry-After` on an empty wallet or a wrong key would set off retries that cannot succeed."""
    passing = ["CONCURRENCY", "REQUESTS_PER_MINUTE", "TOKENS_PER_MINUTE"]
    passing += ["UPSTREAM_SATURATED", "NO_CHANNEL", "LEDGER_AWAY"]
    assert [name for name, r in REFUSALS.items() if r.retry_after_seconds is not None] == passing


def test_only_a_fault_of_ours_may_leave_a_hold_behind() -> None:
    """Every other refusal comes before the hold, or is the hold's own."""
    assert [name for name, r in REFUSALS.items() if r.unsure] == ["LEDGER_AWAY", "INTERNAL"]


@pytest.mark.parametrize("param", [None, "model"])
def test_a_refusal_in_more_exact_words(param: str | None) -> None:
    """Only the message and the field change, and the original stays as it was."""
    said = errors.WALLET.saying("Nothing is left.", param)
    expected = Refusal(402, Family.BILLING, "insufficient_quota", "Nothing is left.", "billing_shortfall", param)
    assert said == expected
    assert errors.WALLET.message == "The account's balance is too low."


def test_a_refusal_cannot_be_changed() -> None:
    """What one request is told cannot leak into another's."""
    with pytest.raises(FrozenInstanceError):
        errors.WALLET.message = "changed"  # type: ignore[misc]


@pytest.mark.parametrize("error", [ConfigError, LedgerUnavailable])
def test_an_operators_error_prints_as_it_is(error: type[TollgateError]) -> None:
    """Whatever an operator is told is a `TollgateError` whose text is the whole message."""
    assert issubclass(error, TollgateError)
    assert str(error("config/models.yaml:3: price is missing")) == "config/models.yaml:3: price is missing"
