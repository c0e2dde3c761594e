"""The usage record: what is kept of one request. Metadata only; no prompt, no answer, no plaintext key."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from extproc.core.ending import Report, Verdict
from extproc.core.ledger import Account
from extproc.core.pricing import ONE, Rates, Usage
from extproc.core.quote import Quote


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One request, with all that is needed to recompute its cost from git: usage, rates, multiplier, revision.

    `accounts` are those it is charged to, `group` is the group whose channel answered, `model` the public name,
    `usage_source` how the usage is known, `doubts` what of it does not add up, `said` what the price of
    a unit depended on. Times are Unix milliseconds or durations in milliseconds; None where the reporter could not
    know.
    """

    request_id: str
    time_ms: int
    owner: str
    key_id: str
    key_prefix: str
    accounts: tuple[Account, ...]
    group: str
    model: str
    vendor_model: str | None
    channel: str | None
    operation: str
    stream: bool
    status: int
    attempts: int
    usage: Usage
    usage_source: str
    cost_nano: int
    hold_nano: int
    rates: Rates | None
    multiplier_ppm: int | None
    revision: str
    reporter: str
    first_byte_ms: int | None
    duration_ms: int | None
    discount_ppm: int = ONE
    said: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def make_record(quote: Quote, report: Report, verdict: Verdict, reporter: str) -> UsageRecord:
    """The record of a request that ended like this."""
    line = verdict.line
    return UsageRecord(
        request_id=report.request_id,
        time_ms=quote.held_ms,
        owner=quote.owner,
        key_id=quote.key_id,
        key_prefix=quote.key_prefix,
        accounts=quote.accounts,
        group=line.group if line else quote.group,
        model=quote.model,
        vendor_model=line.vendor_model if line else None,
        channel=report.channel or None,
        operation=quote.operation,
        stream=quote.stream,
        status=report.status,
        attempts=report.attempts,
        usage=verdict.usage,
        usage_source=verdict.state.name.lower() if verdict.state.settled else "none",
        cost_nano=verdict.cost_nano,
        hold_nano=quote.hold_nano,
        rates=verdict.rates if line else None,
        multiplier_ppm=line.multiplier_ppm if line else None,
        discount_ppm=quote.discount_ppm,
        said=quote.said,
        doubts=report.doubts,
        revision=quote.revision,
        reporter=reporter,
        first_byte_ms=report.first_byte_ms,
        duration_ms=report.duration_ms,
    )
