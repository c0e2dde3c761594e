"""What the admin service refuses, as one sentence for a person, and what to do next where that helps."""

import re

from grpc import StatusCode

from extproc.cli.printing import money
from extproc.errors import TollgateError

TOKEN = "TOLLGATE_ADMIN_TOKEN"  # noqa: S105 the name of the variable

_HINTS = {
    StatusCode.UNAUTHENTICATED: f"{TOKEN} must hold a token of that gateway, neither revoked nor expired.",
    StatusCode.ABORTED: "Look at it as it is now, and try again.",
}
_LISTS = {
    "key": "`tollgate keys list` shows those there are.",
    "owner": "An owner begins with their first key (`tollgate keys create`).",
    "team": "`tollgate teams list OWNER` shows those there are.",
    "token": "`tollgate tokens list` shows those there are.",
}
_THERE_IS_NO = re.compile(r"there is no (\w+) ")
_NANO = re.compile(r"(-?\d+) nano-USD")


class NotFound(TollgateError):
    """There is no such thing."""


def told(code: StatusCode, details: str) -> TollgateError:
    """What to raise when the service ends a verb with this status."""
    said = _NANO.sub(lambda found: money(int(found[1])), details)
    if code is StatusCode.NOT_FOUND:
        kind = _THERE_IS_NO.match(said)
        return NotFound(_lines(said, _LISTS.get(kind[1]) if kind else None))
    return TollgateError(_lines(said, _HINTS.get(code)))


def _lines(said: str, hint: str | None) -> str:
    return f"{said}\n{hint}" if hint else said
