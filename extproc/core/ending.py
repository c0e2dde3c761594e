"""How a request ended, and so what it costs.

    the answer                                              the hold is          charged
    ──────────────────────────────────────────────────────  ───────────────────  ─────────────────────────────────────
    2xx, the vendor's usage is whole                        REPORTED             usage, in full, even above the hold
    2xx, cut short (client or vendor gone, time limit)      PARTIAL              what was delivered, at most the hold
    2xx, ended, but its usage says it is not whole          PARTIAL              the same
    2xx, ended, with no usage at all                        ESTIMATED            the same
    2xx of an operation that is free                        RELEASED             nothing
    anything else: an error, our own answer, no answer      RELEASED             nothing

"What was delivered" is the input as the vendor counted it where a cut stream still told, else as estimated, at the
price of cached input where it may have been in the vendor's cache; and the output as far as it was counted, but no
less than the bytes that reached the caller amount to. By how much is learned from the first line, and frozen in the
quote: whoever reports, and how often, concludes the same. Hidden reasoning has no bytes, so it is not charged unless
it was counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from extproc.core.learned import Kind, Part
from extproc.core.ledger import State
from extproc.core.pricing import Usage, cost_nano
from extproc.core.quote import Line, Quote, answer_part

SURELY_UNCACHED_TOKENS = 512
"""OpenAI caches prompts of 1,024 tokens and more by itself (its guide to prompt caching); estimates are low."""


@dataclass(frozen=True, slots=True)
class Report:
    """What Envoy tells of an ended request.

    `status` is the answer's code, 0 for none. `clean` tells whether the answer reached its own end. `usage` is what the
    vendor counted, `usage_whole` whether it had finished counting. `sent_bytes` is the size of the body so far sent.
    """

    request_id: str
    status: int
    clean: bool
    channel: str
    usage: Usage | None
    usage_whole: bool
    sent_bytes: int
    attempts: int = 1
    first_byte_ms: int | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state a hold should reach, the cost in nano-USD and the usage it is the price of."""

    state: State
    cost_nano: int
    usage: Usage
    line: Line | None


def conclude(quote: Quote, report: Report) -> Verdict:
    """What this report means for the hold. See the table at the top."""
    line = quote.lines.get(report.channel)
    if not 200 <= report.status < 300 or line is None or _free(line):
        return Verdict(State.RELEASED, 0, report.usage or Usage(), line)
    if report.usage and report.usage_whole:
        return _verdict(State.REPORTED, quote, report.usage, line)
    delivered = _delivered(quote, report)
    return _verdict(State.PARTIAL if report.usage or not report.clean else State.ESTIMATED, quote, delivered, line)


class Lesson(NamedTuple):
    """So many tokens of this kind had so many bytes."""

    kind: Kind
    tokens: int
    size_bytes: int


def lessons(quote: Quote, report: Report) -> Iterator[Lesson]:
    """What a request teaches that ended cleanly, its usage whole. A prompt with attachments teaches nothing."""
    usage = report.usage
    if not (usage and report.usage_whole and report.clean):
        return
    if quote.text_bytes:
        yield Lesson(Kind(quote.operation, Part.PROMPT, quote.model), usage.input_tokens, quote.text_bytes)
    if quote.generates:
        kind = Kind(quote.operation, answer_part(quote.stream), quote.model)
        yield Lesson(kind, usage.output_tokens - usage.reasoning_tokens, report.sent_bytes)


def _verdict(state: State, quote: Quote, usage: Usage, line: Line) -> Verdict:
    cost = cost_nano(usage, line.rates, line.multiplier_ppm)
    return Verdict(state, cost if state is State.REPORTED else min(cost, quote.hold_nano), usage, line)


def _delivered(quote: Quote, report: Report) -> Usage:
    counted = report.usage or Usage()
    if not counted.input_tokens:
        counted = replace(counted, input_tokens=quote.input_tokens, cache_read_tokens=_perhaps_cached(quote))
    sent_tokens = quote.output.tokens(report.sent_bytes, whole=report.clean) if quote.generates else 0
    return Usage.of(
        counted.input_tokens,
        counted.cache_read_tokens,
        counted.cache_write_tokens,
        max(counted.output_tokens, sent_tokens),
        counted.reasoning_tokens,
    )


def _perhaps_cached(quote: Quote) -> int:
    """In doubt for the caller: what the vendor may have read from its cache is taken to have been."""
    return 0 if quote.input_tokens < SURELY_UNCACHED_TOKENS else quote.input_tokens


def _free(line: Line) -> bool:
    rates = line.rates
    return not (rates.input or rates.cache_read or rates.cache_write or rates.output or rates.reasoning)
