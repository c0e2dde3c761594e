"""What the metrics are told of a request: once the ledger has answered, so that no repetition is counted.

This is on the way of every request, so children of labelled metrics are remembered instead of looked up.
"""

from functools import cache

import msgspec

from extproc import metrics
from extproc.core.ledger import End, EndResult, Outcome, State
from extproc.core.pricing import COUNTED, Usage
from extproc.errors import Refusal

_holds = cache(metrics.HOLDS.labels)
_refusals = cache(metrics.REFUSALS.labels)
_ends = cache(metrics.ENDS.labels)
_settled = cache(metrics.SETTLED_NANO.labels)
_requests = cache(metrics.REQUESTS.labels)
_tokens = cache(metrics.TOKENS.labels)

_REFUSED = (Outcome.DISAGREES, Outcome.TOO_LATE, Outcome.OVER_MAXIMUM)


class _Ended(msgspec.Struct):
    """What is counted of a usage record."""

    group: str
    model: str
    operation: str
    status: int
    hold_nano: int
    usage: Usage
    channel: str | None = None
    doubts: tuple[str, ...] = ()


_decoder = msgspec.json.Decoder(_Ended)


def count_hold(outcome: Outcome, hold_nano: int) -> None:
    """A hold was asked for."""
    _holds(outcome.value).inc()
    if outcome is Outcome.HELD:
        metrics.HELD_NANO.inc(hold_nano)


def count_refusal(refusal: Refusal) -> None:
    """A request was refused."""
    _refusals(refusal.code, refusal.reason or "").inc()


def count_end(end: End, result: EndResult) -> None:
    """An end was reported."""
    if result.outcome in _REFUSED:
        metrics.REFUSED_REPORTS.labels(result.outcome.value).inc()
    if result.outcome is not Outcome.ENDED or (result.before is State.ABSENT and not end.record):
        return  # that there was nothing to release is no end
    _ends(end.reporter, end.state.name.lower() if end.state.settled else "none").inc()
    if result.late and end.state.settled:
        metrics.LATE.inc()
    if ended := _ended(end):
        _count_money(ended, result)
        if result.before <= State.EXPIRED:
            _count_request(ended)


def _ended(end: End) -> _Ended | None:
    """None without a record: nobody was let through. One that another version spooled may be different."""
    try:
        return _decoder.decode(end.record) if end.record else None
    except msgspec.DecodeError:
        return None


def _count_money(ended: _Ended, result: EndResult) -> None:
    if result.more_nano > 0:
        _settled(ended.group, ended.channel or "").inc(result.more_nano)
    elif result.more_nano < 0:
        metrics.CORRECTED_NANO.inc(-result.more_nano)
    if result.charged_nano > ended.hold_nano:
        metrics.OVERRUNS.inc()
        metrics.OVERRUN_NANO.inc(result.charged_nano - ended.hold_nano)


def _count_request(ended: _Ended) -> None:
    _requests(ended.operation, ended.group, ended.channel or "", f"{ended.status // 100}xx").inc()
    if ended.doubts:
        metrics.DOUBTS.inc()
    for name, counted in COUNTED.items():
        if tokens := getattr(ended.usage, counted):
            _tokens(ended.model, name).inc(tokens)
