"""The error contract, as one table.

    Refusal                     a value, never an exception: what the caller is told
    TollgateError               what an operator is told
    ├── ConfigError             the YAML or the environment is wrong; the message says where and what to do
    ├── BadValue                a name or an amount that cannot be, with its bound
    ├── AlreadyThere            what should be made is there already; nothing was changed
    ├── Stale                   what should be changed is no longer as its caller saw it; nothing was changed
    └── LedgerUnavailable       Redis did not answer; admission fails closed

Every refusal reaches the caller in their own dialect (`extproc.dialects`), with the request id, and costs nothing.
`UPSTREAM_SATURATED` and `NO_CHANNEL` are Envoy's to say, when a chain has ended; `envoy/envoy.yaml` words them alike.
"""

from dataclasses import dataclass, replace
from enum import Enum


class TollgateError(Exception):
    """Anything Tollgate tells an operator; the text is meant to be printed as it is."""


class ConfigError(TollgateError):
    """The configuration or the environment is wrong."""


class BadValue(TollgateError, ValueError):
    """A name or an amount that cannot be; the text tells the bound."""


class AlreadyThere(TollgateError):
    """What should be made is there already. Nothing was changed."""


class Stale(TollgateError):
    """What should be changed has another revision than its caller saw. Nothing was changed."""


class LedgerUnavailable(TollgateError):
    """The ledger cannot be reached, so nothing can be admitted."""


class Family(Enum):
    """What kind of error it is, in the words each dialect has a type for."""

    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    BILLING = "billing"
    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    RATE_LIMIT = "rate_limit"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the caller is told.

    `code` is the stable word a program may rely on, `reason` the more exact one where there is one
    (`insufficient_quota` because of `billing_shortfall`), `param` the request field that is at fault. `unsure` when a
    hold may have been taken all the same, and must be released. `headers` go with it.
    """

    status: int
    family: Family
    code: str
    message: str
    reason: str | None = None
    param: str | None = None
    retry_after_seconds: int | None = None
    unsure: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    def saying(self, message: str, param: str | None = None) -> "Refusal":
        """The same refusal in more exact words."""
        return replace(self, message=message, param=param)


NO_KEY = Refusal(
    401,
    Family.AUTHENTICATION,
    "invalid_api_key",
    "No API key was given. Send it as 'Authorization: Bearer sk-…', 'x-api-key', 'x-goog-api-key' or '?key='.",
)
INVALID_KEY = Refusal(401, Family.AUTHENTICATION, "invalid_api_key", "The API key is not valid.")
KEY_DISABLED = Refusal(401, Family.AUTHENTICATION, "invalid_api_key", "The API key is disabled.", "key_disabled")
KEY_EXPIRED = Refusal(401, Family.AUTHENTICATION, "invalid_api_key", "The API key has expired.", "key_expired")
OWNER_SUSPENDED = Refusal(
    403, Family.PERMISSION, "permission_denied", "The owner of this API key is suspended.", "owner_suspended"
)
GROUP_NOT_ALLOWED = Refusal(
    403,
    Family.PERMISSION,
    "permission_denied",
    "The tier of this API key's owner does not include the key's group.",
    "group_not_allowed",
)
IP_NOT_ALLOWED = Refusal(
    403,
    Family.PERMISSION,
    "permission_denied",
    "This API key may not be used from this address.",
    "ip_not_allowed",
)
INVALID_REQUEST = Refusal(400, Family.INVALID_REQUEST, "invalid_request_error", "The request is not valid.")
UNKNOWN_PATH = Refusal(404, Family.NOT_FOUND, "not_found", "There is nothing at this path.")
MODEL_NOT_FOUND = Refusal(
    404,
    Family.NOT_FOUND,
    "model_not_found",
    "The model does not exist, or this key may not call it.",
    param="model",
)
TASK_NOT_FOUND = Refusal(404, Family.NOT_FOUND, "not_found", "There is nothing of this id, or it is no longer known.")
TASK_NOT_MADE = Refusal(
    500,
    Family.INTERNAL,
    "internal_error",
    "The upstream's answer could not be understood, so what it makes cannot be asked for. Nothing was charged.",
    "task_not_made",
)
TASK_CHANNEL_GONE = Refusal(
    503,
    Family.UNAVAILABLE,
    "service_unavailable",
    "The upstream that made this is not there any more.",
    "task_channel_gone",
)
KEY_QUOTA = Refusal(
    402,
    Family.BILLING,
    "insufficient_quota",
    "This API key has reached its spending cap.",
    "api_key_quota_exceeded",
)
KEY_MONTH = Refusal(
    402,
    Family.BILLING,
    "insufficient_quota",
    "This API key has reached its limit for this month.",
    "api_key_quota_exceeded",
)
MEMBER_QUOTA = Refusal(
    402, Family.BILLING, "insufficient_quota", "You have reached your quota in this team.", "member_quota_exceeded"
)
TEAM_QUOTA = Refusal(
    402, Family.BILLING, "insufficient_quota", "The team has reached its quota.", "team_quota_exceeded"
)
CONCURRENCY = Refusal(
    429,
    Family.RATE_LIMIT,
    "rate_limit_exceeded",
    "This API key has too many requests under way at once.",
    "concurrency_limit_reached",
    retry_after_seconds=1,
)
REQUESTS_PER_MINUTE = Refusal(
    429,
    Family.RATE_LIMIT,
    "rate_limit_exceeded",
    "This API key has made too many requests in this minute.",
    "requests_per_minute_exceeded",
    retry_after_seconds=1,
)
TOKENS_PER_MINUTE = Refusal(
    429,
    Family.RATE_LIMIT,
    "rate_limit_exceeded",
    "This API key has asked for too many tokens in this minute.",
    "tokens_per_minute_exceeded",
    retry_after_seconds=1,
)
WALLET = Refusal(402, Family.BILLING, "insufficient_quota", "The account's balance is too low.", "billing_shortfall")
UPSTREAM_SATURATED = Refusal(
    429,
    Family.RATE_LIMIT,
    "upstream_saturated",
    "The upstreams of this group are saturated. It is no limit of this key. Nothing was charged. Try again later.",
    retry_after_seconds=2,
)
NO_CHANNEL = Refusal(
    503,
    Family.UNAVAILABLE,
    "service_unavailable",
    "No upstream could answer, or the gateway is not ready. Nothing was charged. Try again.",
    retry_after_seconds=2,
)
LEDGER_AWAY = Refusal(
    503,
    Family.UNAVAILABLE,
    "service_unavailable",
    "The gateway cannot check balances at the moment. Nothing was charged.",
    "ledger_unavailable",
    retry_after_seconds=2,
    unsure=True,
)
INTERNAL = Refusal(
    500, Family.INTERNAL, "internal_error", "The gateway made an error. Nothing was charged.", unsure=True
)
