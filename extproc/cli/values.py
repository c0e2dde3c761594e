"""What is typed on the command line: amounts in USD, moments, and how many of something."""

import re
from datetime import datetime

import typer

from extproc.cli.printing import money
from extproc.core.ledger import UNLIMITED
from extproc.core.money import MAX_ACCOUNT_NANO, parse_usd
from extproc.errors import TollgateError

NONE = "none"
"""The word for no limit."""

AS_THE_GROUP_SAYS = -1

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,9})([smhdw])")


def amount(text: str, least: int) -> int:
    """An amount on the command line, in nano-USD. Raises `TollgateError` with the bounds."""
    try:
        nano = parse_usd(text)
    except ValueError as error:
        raise TollgateError(str(error)) from None
    if not least <= nano <= MAX_ACCOUNT_NANO:
        raise TollgateError(f"{text} is not between {money(least)} and {money(MAX_ACCOUNT_NANO)}")
    return nano


def quota(text: str) -> int:
    """The same for what a team or a member may spend: `UNLIMITED` for `none`."""
    return UNLIMITED if text == NONE else amount(text, least=0)


def cap(text: str) -> int:
    """The same for what a key may spend, where 0 is no limit, as `none` is."""
    return 0 if text == NONE else amount(text, least=0)


def rate(text: str) -> int:
    """Requests or tokens per minute: a number, 0 for no limit, `group` for the group's own."""
    if text == "group":
        return AS_THE_GROUP_SAYS
    if not re.fullmatch(r"\d{1,15}", text):
        raise TollgateError(f"{text!r} is neither a whole number nor 'group'")
    return int(text)


def span(text: str) -> int:
    """`90s`, `30m`, `24h`, `7d` or `2w`, in seconds. Raises `TollgateError`."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise TollgateError(f"{text!r} is no length of time, such as 30m, 24h or 7d")
    return int(match[1]) * _SECONDS[match[2]]


def past(text: str, now_ms: int) -> int:
    """A moment until now, as Unix milliseconds: a date or time of ISO 8601, local without a zone, or `7d` ago."""
    return now_ms - span(text) * 1000 if _SPAN.fullmatch(text) else moment(text)


def expiry(text: str, now_ms: int) -> int:
    """When something ends: such a moment, `7d` from now, or `never`, which is 0."""
    if text == "never":
        return 0
    ends_ms = now_ms + span(text) * 1000 if _SPAN.fullmatch(text) else moment(text)
    if ends_ms <= now_ms:
        raise TollgateError(f"{text} is over already")
    return ends_ms


def moment(text: str) -> int:
    """A date or time of ISO 8601 as Unix milliseconds, local where it has no zone. Raises `TollgateError`."""
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError):
        raise TollgateError(f"{text!r} is no moment, such as 2026-11-22, 2026-11-22T18:30+01:00, 24h or 7d") from None


def shown_time(unix_ms: int) -> str:
    """A moment for a person: local time with its zone, to the second."""
    return datetime.fromtimestamp(unix_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def shown_cap(nano: int) -> str:
    """What a key may spend, for a person."""
    return money(nano) if nano else NONE


def shown_quota(nano: int) -> str:
    """What a team or a member may spend, for a person."""
    return NONE if nano == UNLIMITED else money(nano)


def share(ppm: int) -> str:
    """Millionths for a person: `90 %`."""
    return f"{ppm / 10_000:.4f}".rstrip("0").rstrip(".") + " %"


def usage_error(text: str) -> typer.Exit:
    """What to raise, once it is said on standard error, when a command cannot be meant as it was written."""
    typer.echo(f"tollgate: {text}", err=True)
    return typer.Exit(2)
