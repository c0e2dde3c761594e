"""The table of endings, line by line: what the hold becomes, and what is charged."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.catalog import Operation
from extproc.core.ending import Report, conclude, lessons
from extproc.core.learned import Kind, Part
from extproc.core.ledger import State
from extproc.core.pricing import FREE, Rates, UnitKind, UnitRate, Usage, cost_nano
from extproc.core.quote import Quote
from extproc.dialects import routes
from tests.core.samples import RATES, quote, quotes, steady, usages

HOLD_NANO = 10_000_000
INPUT_NANO = 500_000
"""What the estimated input of `samples.quote` costs: 1,000 tokens, which may have been in the vendor's cache."""

FULL = Usage.of(500, 100, 0, 50)
FULL_NANO = 400 * 2_000 + 100 * 500 + 50 * 8_000
HUGE = Usage.of(500, output_tokens=10_000)
HUGE_NANO = 500 * 2_000 + 10_000 * 8_000


def report(
    status: int = 200,
    clean: bool = True,
    channel: str = "a",
    usage: Usage | None = None,
    whole: bool = False,
    sent: int = 0,
) -> Report:
    """A report of an answer."""
    return Report("id-1", status, clean, channel, usage, whole, sent)


class Ending(NamedTuple):
    """One line of the table."""

    what: str
    report: Report
    state: State
    cost_nano: int
    operation: Operation = routes.CHAT
    stream: bool = False
    rates: Rates = RATES


EMBEDDING = Rates(2_000_000_000, 2_000_000_000, 2_000_000_000, 0, 0)

ENDINGS = [
    # 2xx, the vendor's usage is whole
    Ending("whole usage", report(usage=FULL, whole=True), State.REPORTED, FULL_NANO),
    Ending(
        "whole usage, at half the price", report(channel="b", usage=FULL, whole=True), State.REPORTED, FULL_NANO // 2
    ),
    Ending("whole usage of nothing", report(usage=Usage(), whole=True), State.REPORTED, 0),
    Ending("whole usage above the hold", report(usage=HUGE, whole=True), State.REPORTED, HUGE_NANO),
    Ending("whole usage, bytes do not count", report(usage=FULL, whole=True, sent=10**9), State.REPORTED, FULL_NANO),
    Ending("whole usage, then gone", report(usage=FULL, whole=True, clean=False), State.REPORTED, FULL_NANO),
    Ending("whole usage, another 2xx", report(status=299, usage=FULL, whole=True), State.REPORTED, FULL_NANO),
    # 2xx, cut short
    Ending("cut before the first byte", report(clean=False), State.PARTIAL, INPUT_NANO, stream=True),
    Ending("cut, 10 events", report(clean=False, sent=1_400), State.PARTIAL, INPUT_NANO + 80_000, stream=True),
    Ending("cut, most of 11 events", report(clean=False, sent=1_439), State.PARTIAL, INPUT_NANO + 80_000, stream=True),
    Ending("cut before the first token", report(clean=False, sent=1_039), State.PARTIAL, INPUT_NANO, stream=True),
    Ending("cut, never above the hold", report(clean=False, sent=10**9), State.PARTIAL, HOLD_NANO, stream=True),
    Ending("cut, at half the price", report(clean=False, channel="b"), State.PARTIAL, INPUT_NANO // 2, stream=True),
    Ending(
        "cut, the input is known",
        report(clean=False, usage=Usage.of(500, 100), sent=1_400),
        State.PARTIAL,
        850_000 + 10 * 8_000,
        routes.MESSAGES,
        True,
    ),
    Ending(
        "cut, counted output outweighs fewer bytes",
        report(clean=False, usage=FULL, sent=1_040),
        State.PARTIAL,
        FULL_NANO,
        routes.MESSAGES,
        True,
    ),
    Ending(
        "cut, more bytes outweigh counted output",
        report(clean=False, usage=FULL, sent=5_000),
        State.PARTIAL,
        850_000 + 100 * 8_000,
        routes.MESSAGES,
        True,
    ),
    Ending(
        "cut, counted above the hold", report(clean=False, usage=HUGE), State.PARTIAL, HOLD_NANO, routes.MESSAGES, True
    ),
    Ending(
        "cut, only output counted",
        report(clean=False, usage=Usage.of(0, output_tokens=5)),
        State.PARTIAL,
        INPUT_NANO + 40_000,
        routes.GENERATE,
        True,
    ),
    # 2xx, ended, but its usage says it is not whole
    Ending("clean, usage not whole", report(usage=FULL), State.PARTIAL, FULL_NANO),
    # 2xx, ended, no usage at all
    Ending("no usage, 10 tokens with its end", report(sent=2_000), State.ESTIMATED, INPUT_NANO + 10 * 8_000),
    Ending("no usage, never above the hold", report(sent=10**9), State.ESTIMATED, HOLD_NANO),
    Ending("no usage, empty", report(), State.ESTIMATED, INPUT_NANO),
    # embeddings
    Ending(
        "embedding",
        report(usage=Usage.of(700), whole=True),
        State.REPORTED,
        1_400_000,
        routes.EMBEDDINGS,
        rates=EMBEDDING,
    ),
    Ending(
        "embedding, no usage: its bytes cost nothing",
        report(sent=30_000),
        State.ESTIMATED,
        2_000_000,
        routes.EMBED,
        rates=EMBEDDING,
    ),
    Ending(
        "embedding by a model that could write, no usage: its bytes cost nothing either",
        report(sent=30_000),
        State.ESTIMATED,
        INPUT_NANO,
        routes.EMBEDDINGS,
    ),
    # free operations
    Ending("free", report(), State.RELEASED, 0, routes.COUNT_TOKENS, rates=FREE),
    Ending("free, with usage", report(usage=FULL, whole=True), State.RELEASED, 0, routes.COUNT_TOKENS, rates=FREE),
    # anything else
    *[
        Ending(f"status {status}", report(status, usage=FULL, whole=True), State.RELEASED, 0)
        for status in (0, 100, 199, 300, 304, 400, 401, 404, 408, 413, 429, 499, 500, 502, 503, 504)
    ],
    Ending("an error, cut", report(500, clean=False, sent=10**6), State.RELEASED, 0, stream=True),
    Ending("a channel that is not in the quote", report(channel="no_channel"), State.RELEASED, 0),
    Ending("no channel at all", report(channel=""), State.RELEASED, 0),
]


@pytest.mark.parametrize("ending", [pytest.param(ending, id=ending.what) for ending in ENDINGS])
def test_an_ending(ending: Ending) -> None:
    """An answer that ends like this brings the hold to this state, at this cost."""
    terms = quote(ending.operation, ending.stream, HOLD_NANO, ending.rates)
    verdict = conclude(terms, ending.report)
    assert (verdict.state, verdict.cost_nano) == (ending.state, ending.cost_nano)
    assert verdict.line is terms.lines.get(ending.report.channel)


@pytest.mark.parametrize("operation", [routes.EMBEDDINGS, routes.EMBED, routes.BATCH_EMBED])
def test_an_embedding_has_no_output_tokens(operation: Operation) -> None:
    """The bytes of an embedding are numbers, not tokens: its estimated usage is its input alone."""
    verdict = conclude(quote(operation, False, rates=EMBEDDING), report(sent=30_000))
    assert (verdict.usage.total_tokens, verdict.usage.output_tokens) == (1_000, 0)


@pytest.mark.parametrize(
    ("estimated", "told", "cached"),
    [(511, None, 0), (512, None, 512), (1_000, Usage.of(900), 0), (1_000, Usage.of(900, 100), 100)],
)
def test_in_doubt_the_input_was_cached(estimated: int, told: Usage | None, cached: int) -> None:
    """Where the vendor said nothing, a prompt that is long enough for a cache is charged as if it came from there."""
    terms = replace(quote(routes.CHAT, True), input_tokens=estimated)
    assert conclude(terms, report(clean=False, usage=told)).usage.cache_read_tokens == cached


reports = st.builds(
    Report,
    request_id=st.just("id-1"),
    status=st.sampled_from([0, 200, 204, 429, 503]) | st.integers(0, 599),
    clean=st.booleans(),
    channel=st.text(max_size=3),
    usage=st.none() | usages,
    usage_whole=st.booleans(),
    sent_bytes=st.integers(0, 10**12),
)


@st.composite
def ended(draw: st.DrawFn) -> tuple[Quote, Report]:
    """A quote, and a report from one of its channels or from some other."""
    terms = draw(quotes)
    told = draw(reports)
    channel = draw(st.sampled_from([told.channel, *terms.lines]))
    return terms, Report("id-1", told.status, told.clean, channel, told.usage, told.usage_whole, told.sent_bytes)


@steady
@given(ended())
def test_no_ending_charges_what_it_should_not(case: tuple[Quote, Report]) -> None:
    """A cost is never negative; what is not the vendor's whole usage stays within the hold; a release costs nothing."""
    terms, told = case
    verdict = conclude(terms, told)
    assert verdict.cost_nano >= 0
    assert verdict.state in (State.RELEASED, State.ESTIMATED, State.PARTIAL, State.REPORTED)
    if verdict.state in (State.ESTIMATED, State.PARTIAL):
        assert verdict.cost_nano <= terms.hold_nano
    if verdict.state is State.RELEASED:
        assert verdict.cost_nano == 0


@steady
@given(ended())
def test_only_an_answer_of_a_vendor_is_charged(case: tuple[Quote, Report]) -> None:
    """Nothing is charged for a status outside 2xx, or for a channel that the quote does not know."""
    terms, told = case
    if not 200 <= told.status < 300 or told.channel not in terms.lines:
        assert conclude(terms, told).state is State.RELEASED


@steady
@given(ended())
def test_a_whole_usage_is_charged_as_it_is(case: tuple[Quote, Report]) -> None:
    """What the vendor counted in full is the usage of the record, and its cost is that of the line that answered."""
    terms, told = case
    verdict = conclude(terms, told)
    if verdict.state is State.REPORTED:
        line = terms.lines[told.channel]
        if told.usage and told.usage_whole:
            assert verdict.usage == replace(told.usage, units=told.usage.units or terms.units)
        assert verdict.rates == terms.terms.rates_for(verdict.usage.input_tokens)
        assert verdict.cost_nano == cost_nano(verdict.usage, verdict.rates, line.multiplier_ppm, terms.discount_ppm)


@steady
@given(ended())
def test_the_usage_of_a_verdict_adds_up(case: tuple[Quote, Report]) -> None:
    """However much of it was estimated, cached tokens are part of the input and reasoning of the output."""
    usage = conclude(*case).usage
    assert usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.reasoning_tokens <= usage.output_tokens


MINUTES = replace(FREE, unit=UnitRate(UnitKind.MINUTE, 6_000_000, 60_000))
TOKENS = Usage.of(500, output_tokens=50)


@pytest.mark.parametrize(
    ("rates", "guessed", "told", "state", "nano"),
    [
        pytest.param(MINUTES, True, report(), State.ESTIMATED, 500_000, id="a guess that nobody counted"),
        pytest.param(
            MINUTES, True, report(usage=Usage(units=90_000), whole=True), State.REPORTED, 9_000_000, id="counted"
        ),
        pytest.param(MINUTES, True, report(usage=TOKENS, whole=True), State.ESTIMATED, 500_000, id="counted otherwise"),
        pytest.param(RATES, True, report(usage=TOKENS, whole=True), State.REPORTED, 1_400_000, id="a price by tokens"),
        pytest.param(MINUTES, False, report(), State.REPORTED, 500_000, id="what was asked for"),
    ],
)
def test_units_that_only_the_vendor_knows(rates: Rates, guessed: bool, told: Report, state: State, nano: int) -> None:
    """A guess of 5 s is charged as what it is, until the vendor counts what the price is for."""
    terms = replace(quote(routes.EMBEDDINGS, False, rates=rates), units=5_000, guessed=guessed)
    verdict = conclude(terms, told)
    assert (verdict.state, verdict.cost_nano) == (state, nano)


# --- What is learned --------------------------------------------------------------------------------------------------

PROMPT = (Kind("openai.chat", Part.PROMPT, "gpt"), 500, 5_000)
REASONED = Usage.of(500, 100, 0, 50, 20)


@pytest.mark.parametrize(
    ("terms", "told", "taught"),
    [
        pytest.param(
            quote(routes.CHAT, True),
            report(usage=FULL, whole=True, sent=900),
            [PROMPT, (Kind("openai.chat", Part.STREAM, "gpt"), 50, 900)],
            id="a stream",
        ),
        pytest.param(
            quote(routes.CHAT, False),
            report(usage=FULL, whole=True, sent=900),
            [PROMPT, (Kind("openai.chat", Part.PIECE, "gpt"), 50, 900)],
            id="one piece",
        ),
        pytest.param(
            quote(routes.CHAT, True),
            report(usage=REASONED, whole=True, sent=900),
            [PROMPT, (Kind("openai.chat", Part.STREAM, "gpt"), 30, 900)],
            id="reasoning has no bytes",
        ),
        pytest.param(
            quote(routes.EMBEDDINGS, False),
            report(usage=Usage.of(500), whole=True, sent=900),
            [(Kind("openai.embeddings", Part.PROMPT, "gpt"), 500, 5_000)],
            id="an embedding has no output",
        ),
        pytest.param(
            replace(quote(routes.CHAT, True), text_bytes=0),
            report(usage=FULL, whole=True, sent=900),
            [(Kind("openai.chat", Part.STREAM, "gpt"), 50, 900)],
            id="a prompt with attachments",
        ),
        pytest.param(quote(routes.CHAT, True), report(clean=False, usage=FULL, whole=True, sent=900), [], id="cut"),
        pytest.param(quote(routes.CHAT, True), report(usage=FULL, sent=900), [], id="usage not whole"),
        pytest.param(quote(routes.CHAT, True), report(sent=900), [], id="no usage"),
    ],
)
def test_what_a_request_teaches(terms: Quote, told: Report, taught: list[tuple[Kind, int, int]]) -> None:
    """Only an answer that ended cleanly, counted in full, tells how many bytes its tokens have."""
    assert list(lessons(terms, told)) == taught
