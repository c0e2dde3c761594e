"""How a request ended, and so what it costs.

    the answer                                              the hold is          charged
    ──────────────────────────────────────────────────────  ───────────────────  ─────────────────────────────────────
    2xx, the vendor's usage is whole                        REPORTED             usage, in full, even above the hold
    2xx, cut short (client or vendor gone, time limit)      PARTIAL              what was delivered, at most the hold
    2xx, ended, but its usage says it is not whole          PARTIAL              the same
    2xx, ended, of a price that asks for no tokens          REPORTED             the call, units asked for or counted
    the same, its units but a guess that nobody counted     ESTIMATED            the same, at most the hold
    2xx, ended, with no usage at all                        ESTIMATED            what was delivered, at most the hold
    2xx of an operation that is free                        RELEASED             nothing
    2xx that names a task, which is under way               HELD, as before      nothing yet
    of that task, that it is done                           REPORTED             as above, at the create's quote
    of that task, that it failed                            RELEASED             nothing
    anything else: an error, our own answer, no answer      RELEASED             nothing

"What was delivered" is the input as the vendor counted it where a cut stream still told, else as estimated, at the
price of cached input where it may have been in the vendor's cache; and the output as far as it was counted, but no
less than the bytes that reached the caller amount to. By how much is learned from the first line, and frozen in the
quote: whoever reports, and how often, concludes the same. Hidden reasoning has no bytes, so it is not charged unless
it was counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from extproc.core.learned import Kind, Part
from extproc.core.ledger import State
from extproc.core.pricing import FREE, Rates, UnitKind, Usage, cost_nano
from extproc.core.quote import Line, Quote, answer_part

SURELY_UNCACHED_TOKENS = 512
"""OpenAI caches prompts of 1,024 tokens and more by itself (its guide to prompt caching); estimates are low."""


class Progress(Enum):
    """How far a task is."""

    UNDER_WAY = "under way"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What Envoy tells of an ended request.

    `status` is the answer's code, 0 for none. `clean` tells whether the answer reached its own end. `usage` is what the
    vendor counted, `usage_whole` whether it had finished counting, `doubts` what in its numbers does not add up.
    `sent_bytes` is the size of the body so far sent. `task` is how far the task is that was asked for, None where none
    was made. `evidence` stands for all that a whole usage was read from: where another reporter has the same, it has
    the same to say; 0 where nobody will compare.
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
    doubts: tuple[str, ...] = ()
    task: Progress | None = None
    evidence: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state a hold should reach, the cost in nano-USD, and the usage and the rates it is the price of.

    HELD says that it is no end: the hold stays as it is.
    """

    state: State
    cost_nano: int
    usage: Usage
    rates: Rates
    line: Line | None


def conclude(quote: Quote, report: Report) -> Verdict:
    """What this report means for the hold. See the table at the top."""
    line = quote.lines.get(report.channel)
    if not 200 <= report.status < 300 or line is None or quote.terms.rates == FREE:
        usage = report.usage or Usage()
        return Verdict(State.RELEASED, 0, usage, quote.terms.rates_for(usage.input_tokens), line)
    if quote.task and report.task is not Progress.DONE:
        state = State.HELD if report.task is Progress.UNDER_WAY else State.RELEASED
        return Verdict(state, 0, Usage(), quote.terms.rates, line)
    counted = report.usage or Usage()
    units_known = counted.units > 0 or not quote.guessed or quote.terms.rates.unit is None
    if report.usage and report.usage_whole and units_known:
        return _verdict(State.REPORTED, quote, _with_units(counted, quote), line)
    if report.clean and not quote.terms.rates.by_tokens:
        state = State.REPORTED if units_known else State.ESTIMATED
        return _verdict(state, quote, _with_units(counted, quote), line)
    delivered = _delivered(quote, report)
    return _verdict(State.PARTIAL if report.usage or not report.clean else State.ESTIMATED, quote, delivered, line)


def known_costs(quote: Quote) -> dict[str, int]:
    """What an answer of each channel will cost, in nano-USD; nothing where only the answer can tell.

    It is known where no token costs anything, and nobody but the request says how many units there are. A task may
    still fail.
    """
    rates, units = quote.terms.rates, quote.terms.rates.unit
    tokens_cost = rates.by_tokens or rates != Rates.of(call=rates.call, unit=units) or quote.terms.tiers
    if tokens_cost or quote.task or quote.guessed or (units and units.kind not in _ASKED_FOR):
        return {}
    usage = Usage(units=quote.units)
    return {
        name: cost_nano(usage, rates, line.multiplier_ppm, quote.discount_ppm) for name, line in quote.lines.items()
    }


_ASKED_FOR = {UnitKind.IMAGE, UnitKind.CHARACTER}
"""The units that no vendor counts for us: what is asked for is what is charged."""


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
    rates = quote.terms.rates_for(usage.input_tokens)
    cost = cost_nano(usage, rates, line.multiplier_ppm, quote.discount_ppm)
    return Verdict(state, cost if state is State.REPORTED else min(cost, quote.hold_nano), usage, rates, line)


def _delivered(quote: Quote, report: Report) -> Usage:
    counted = report.usage or Usage()
    if not counted.input_tokens:
        counted = replace(counted, input_tokens=quote.input_tokens, cache_read_tokens=_perhaps_cached(quote))
    sent_tokens = quote.output.tokens(report.sent_bytes, whole=report.clean) if quote.generates else 0
    return _with_units(replace(counted, output_tokens=max(counted.output_tokens, sent_tokens)), quote)


def _with_units(usage: Usage, quote: Quote) -> Usage:
    """With the units that the vendor counted, else those of the quote."""
    return usage if usage.units or not quote.units else replace(usage, units=quote.units)


def _perhaps_cached(quote: Quote) -> int:
    """In doubt for the caller: what the vendor may have read from its cache is taken to have been."""
    return 0 if quote.input_tokens < SURELY_UNCACHED_TOKENS else quote.input_tokens
