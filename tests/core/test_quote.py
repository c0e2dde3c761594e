"""A quote holds what the dearest channel of the chain could cost, and nothing for what is free."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.catalog import Operation
from extproc.core.chain import Attempt
from extproc.core.identity import Caller
from extproc.core.learned import Kind, Learned, Part, start_of
from extproc.core.ledger import HOLD_MS
from extproc.core.pricing import (
    FREE,
    ONE,
    Estimate,
    Price,
    Terms,
    UnitKind,
    UnitPrice,
    UnitRate,
    Usage,
    ceiling_nano,
    cost_nano,
)
from extproc.core.quote import (
    BYTES_PER_INPUT_TOKEN,
    TOKENS_PER_ATTACHMENT,
    Ask,
    Line,
    Quote,
    answer_part,
    make_quote,
    terms_of,
)
from extproc.core.rate import Draw
from extproc.dialects import routes
from tests.core.samples import KEY, MODEL, PRICE, RATES, caller_of, channel, multipliers, steady

NOW_MS = 1_700_000_000_000
CHEAP = Attempt(channel("a", "gpt"), "main", ONE // 2, "gpt-a")
DEAR = Attempt(channel("b", "gpt"), "spare", ONE * 3, "gpt-b")

asks = st.builds(
    Ask,
    model=st.just("gpt"),
    stream=st.booleans(),
    output_cap=st.none() | st.integers(1, 10**6),
    answers=st.integers(1, 128),
    text_bytes=st.integers(0, 10**8),
    attachments=st.integers(0, 100),
)
attempts = st.builds(
    Attempt, st.integers(0, 9).map(lambda n: channel(f"c{n}", "gpt")), st.just("main"), multipliers, st.just("v")
)
chains = st.lists(attempts, min_size=1, max_size=5, unique_by=lambda attempt: attempt.channel.name)
_operations = [value for value in vars(routes).values() if isinstance(value, Operation)]
priced = st.sampled_from([operation for operation in _operations if operation.priced and not operation.task])

CALLER = caller_of(KEY)


def quoted(
    ask: Ask,
    *chain: Attempt,
    operation: Operation = routes.CHAT,
    learned: Learned | None = None,
    caller: Caller = CALLER,
) -> Quote:
    """The quote for this ask over this chain."""
    terms = terms_of(MODEL, operation, ask.said, NOW_MS)
    assert terms is not None
    accounts, known = caller.key.accounts("2026-11"), learned or Learned()
    return make_quote(caller, accounts, ask, operation, MODEL, terms, chain, "rev1", NOW_MS, known)


@pytest.mark.parametrize(
    ("text_bytes", "attachments", "input_tokens"),
    [(0, 0, 0), (1, 0, 1), (3, 0, 1), (4, 0, 2), (3_000, 0, 1_000), (0, 1, 2_000), (3_001, 2, 5_001)],
)
def test_the_input_is_estimated_and_rounded_up(text_bytes: int, attachments: int, input_tokens: int) -> None:
    """A token for each three bytes of text or part of them, and a fixed number for an attachment."""
    assert (BYTES_PER_INPUT_TOKEN, TOKENS_PER_ATTACHMENT) == (3, 2_000)
    assert Ask("gpt", text_bytes=text_bytes, attachments=attachments).input_tokens == input_tokens


@pytest.mark.parametrize(
    ("ask", "operation", "hold_nano"),
    [
        pytest.param(Ask("gpt"), routes.CHAT, 8_000_000, id="the model's own output estimate"),
        pytest.param(Ask("gpt", output_cap=10), routes.CHAT, 80_000, id="the caller's cap"),
        pytest.param(Ask("gpt", output_cap=5_000), routes.CHAT, 40_000_000, id="a cap above the model's estimate"),
        pytest.param(Ask("gpt", output_cap=10, answers=3), routes.CHAT, 240_000, id="each answer"),
        pytest.param(Ask("gpt", answers=3), routes.CHAT, 24_000_000, id="each answer without a cap"),
        pytest.param(Ask("gpt", output_cap=10, text_bytes=300), routes.CHAT, 330_000, id="input at its dearest class"),
        pytest.param(Ask("gpt", output_cap=1, attachments=1), routes.MESSAGES, 5_008_000, id="an attachment"),
        pytest.param(Ask("gpt", text_bytes=300), routes.EMBEDDINGS, 250_000, id="an embedding has no output"),
        pytest.param(Ask("gpt", text_bytes=300), routes.COUNT_MESSAGE_TOKENS, 0, id="counting is free"),
        pytest.param(Ask("gpt", text_bytes=300), routes.COUNT_TOKENS, 0, id="counting is free at Google too"),
    ],
)
def test_what_is_held(ask: Ask, operation: Operation, hold_nano: int) -> None:
    """An ask for this operation holds exactly so much at the list price."""
    attempt = Attempt(channel("a", "gpt"), "main", ONE, "gpt")
    assert quoted(ask, attempt, operation=operation).hold_nano == hold_nano


@pytest.mark.parametrize(
    ("ask", "operation", "tokens"),
    [
        (Ask("gpt", output_cap=10, text_bytes=300), routes.CHAT, 110),
        (Ask("gpt", text_bytes=300), routes.CHAT, 1_100),
        (Ask("gpt", text_bytes=300), routes.EMBEDDINGS, 100),
        (Ask("gpt", text_bytes=300), routes.COUNT_TOKENS, 0),
    ],
)
def test_what_is_drawn_of_the_keys_minute(ask: Ask, operation: Operation, tokens: int) -> None:
    """Input and output as they are held; what is free draws no tokens."""
    assert quoted(ask, CHEAP, operation=operation).tokens.amount == tokens


@pytest.mark.parametrize("chain", [(CHEAP, DEAR), (DEAR, CHEAP)])
def test_the_dearest_channel_is_held_wherever_it_stands(chain: tuple[Attempt, ...]) -> None:
    """The hold covers the fallback at three times the price."""
    assert quoted(Ask("gpt", output_cap=10), *chain).hold_nano == 3 * 10 * 8_000


def test_a_quote_freezes_the_terms() -> None:
    """Who pays, what for, until when, and at which rates for each channel in the chain's order."""
    quote = quoted(Ask("gpt", stream=True, output_cap=10, text_bytes=300), DEAR, CHEAP)
    assert quote == Quote(
        owner="alice",
        key_id="key_1",
        key_prefix="sk-abcdefg",
        accounts=KEY.accounts("2026-11"),
        group="main",
        model="gpt",
        operation="openai.chat",
        generates=True,
        stream=True,
        revision="rev1",
        text_bytes=300,
        input_tokens=0,
        output=start_of(Kind("openai.chat", Part.STREAM, "gpt")).scale(),
        hold_nano=990_000,
        held_ms=NOW_MS,
        deadline_ms=NOW_MS + HOLD_MS,
        terms=Terms(RATES),
        lines={"b": Line("spare", 3 * ONE, "gpt-b"), "a": Line("main", ONE // 2, "gpt-a")},
        tokens=Draw(0, 110),
    )
    assert list(quote.lines) == ["b", "a"]


def learned_of(kind: Kind) -> Learned:
    """One that has seen answers of 1,000 bytes and 100 for each token."""
    learned = Learned()
    for tokens in range(1, 2_000, 10):
        learned.add(kind, tokens, 1_000 + 100 * tokens)
    learned.know(learned.take())
    return learned


@pytest.mark.parametrize("stream", [True, False])
def test_a_quote_freezes_what_was_learned_of_the_answer(stream: bool) -> None:
    """The scale of this model and kind of answer goes with the request; that of another kind does not."""
    for part, model, same in (
        (answer_part(stream), "gpt", True),
        (answer_part(not stream), "gpt", False),
        (answer_part(stream), "other", False),
    ):
        kind = Kind("openai.chat", part, model)
        learned = learned_of(kind)
        assert (quoted(Ask("gpt", stream=stream), CHEAP, learned=learned).output == learned.scale(kind)) is same


@pytest.mark.parametrize(
    ("ask", "text_bytes", "input_tokens"),
    [
        pytest.param(Ask("gpt", text_bytes=11_000), 11_000, 96, id="text"),
        pytest.param(Ask("gpt", text_bytes=900), 900, 0, id="less than any prompt"),
        pytest.param(Ask("gpt", text_bytes=11_000, attachments=2), 0, 96 + 140, id="attachments teach nothing"),
    ],
)
def test_a_quote_freezes_what_was_learned_of_the_prompt(ask: Ask, text_bytes: int, input_tokens: int) -> None:
    """What a cut request is charged for its input leans to the caller; the hold stays as it is."""
    quote = quoted(ask, CHEAP, learned=learned_of(Kind("openai.chat", Part.PROMPT, "gpt")))
    assert (quote.text_bytes, quote.input_tokens) == (text_bytes, input_tokens)
    assert quote.hold_nano == quoted(ask, CHEAP).hold_nano


@steady
@given(asks, st.lists(st.integers(1, 10**6), min_size=20, max_size=25), st.integers(1, 5))
def test_the_input_is_never_charged_above_its_hold(ask: Ask, seen: list[int], token_bytes: int) -> None:
    """However small tokens were, the input of a cut request is charged at no more than was held for it."""
    kind, learned = Kind("openai.chat", Part.PROMPT, "gpt"), Learned()
    for tokens in seen:
        learned.add(kind, tokens, 100 + token_bytes * tokens)
    assert 0 <= quoted(ask, CHEAP, learned=learned).input_tokens <= ask.input_tokens


@pytest.mark.parametrize(
    ("operation", "generates"), [(routes.CHAT, True), (routes.EMBEDDINGS, False), (routes.COUNT_TOKENS, False)]
)
def test_a_quote_knows_whether_there_will_be_output(operation: Operation, generates: bool) -> None:
    """An operation that produces no tokens is quoted as one that does not."""
    assert quoted(Ask("gpt"), CHEAP, operation=operation).generates is generates


@pytest.mark.parametrize("operation", [routes.COUNT_MESSAGE_TOKENS, routes.COUNT_TOKENS])
def test_a_free_operation_has_free_terms(operation: Operation) -> None:
    """Whatever usage is reported of it, there is no rate it could be charged at."""
    assert quoted(Ask("gpt"), CHEAP, DEAR, operation=operation).terms == Terms(FREE)


@pytest.mark.parametrize(
    ("operation", "fits"), [(routes.IMAGES, True), (routes.SPEECH, False), (routes.CHAT, False), (routes.RERANK, False)]
)
def test_a_price_is_for_what_an_operation_counts(operation: Operation, fits: bool) -> None:
    """A model priced by the image alone can be asked for nothing else: it would be free."""
    unit = UnitPrice(UnitRate(UnitKind.IMAGE, 40_000_000), {})
    by_image, by_call = Price(Terms(FREE), (unit,)), Price(Terms(replace(FREE, call=1)), (unit,))
    assert (terms_of(replace(MODEL, prices=(by_image,)), operation, {}, 0) is not None) is fits
    assert terms_of(replace(MODEL, prices=(by_call,)), operation, {}, 0)


def test_what_can_only_be_guessed_is_held_at_its_most() -> None:
    """A recording is held as long as it may be, and the quote keeps how long it is at least."""
    minutes = Terms(replace(FREE, unit=UnitRate(UnitKind.MINUTE, 6_000_000, 60_000)))
    ask, accounts = Ask("gpt", units=1_000, most_units=60_000), KEY.accounts("2026-11")
    quote = make_quote(CALLER, accounts, ask, routes.EMBEDDINGS, MODEL, minutes, [CHEAP], "rev1", NOW_MS, Learned())
    assert (quote.hold_nano, quote.units, quote.guessed) == (3_000_000, 1_000, True)


def test_the_terms_are_those_of_the_day_and_of_what_was_said() -> None:
    """A price change holds from its first millisecond; of an image's prices the first that fits; none may fit."""
    image = UnitRate(UnitKind.IMAGE, 40_000_000)
    units = (UnitPrice(image, {"size": "1024x1024"}),)
    model = replace(MODEL, prices=(PRICE, Price(Terms(FREE), units, valid_from_ms=NOW_MS)))
    said = {"size": "1024x1024", "quality": "high"}
    assert terms_of(model, routes.IMAGES, said, NOW_MS - 1) == PRICE.terms
    assert terms_of(model, routes.IMAGES, said, NOW_MS) == Terms(replace(FREE, unit=image))
    assert terms_of(model, routes.IMAGES, {"size": "512x512"}, NOW_MS) is None
    assert terms_of(model, routes.COUNT_TOKENS, {}, NOW_MS) == Terms(FREE)


def test_the_owners_discount_is_held_and_charged() -> None:
    """What an owner pays of every price counts for the hold as for the charge."""
    ask = Ask("gpt", output_cap=10)
    plain, less = quoted(ask, CHEAP), quoted(ask, CHEAP, caller=caller_of(KEY, discount_ppm=ONE // 2))
    assert (less.hold_nano, less.discount_ppm) == (plain.hold_nano // 2, ONE // 2)


@steady
@given(asks, chains, priced)
def test_the_hold_is_the_dearest_line(ask: Ask, chain: list[Attempt], operation: Operation) -> None:
    """The hold is the greatest of what each line could cost, no more and no less."""
    quote = quoted(ask, *chain, operation=operation)
    produces = operation.output or operation.units
    output = (ask.output_cap or MODEL.max_output_tokens) * ask.answers if produces else 0
    estimate = Estimate(ask.input_tokens, output, input_media=ask.attachments > 0)
    costs = [ceiling_nano(estimate, quote.terms, line.multiplier_ppm) for line in quote.lines.values()]
    assert quote.hold_nano == max(costs)


@steady
@given(asks, chains, st.data())
def test_a_usage_within_the_estimate_never_exceeds_the_hold(
    ask: Ask, chain: list[Attempt], data: st.DataObject
) -> None:
    """Whichever channel answers, and however the tokens are split, what was estimated is covered."""
    quote = quoted(ask, *chain)
    output = (ask.output_cap or MODEL.max_output_tokens) * ask.answers
    parts = st.integers(0, ask.input_tokens)
    usage = Usage.of(
        data.draw(parts), data.draw(parts), data.draw(parts), *[data.draw(st.integers(0, output)) for _ in range(2)]
    )
    for line in quote.lines.values():
        assert cost_nano(usage, quote.terms.rates_for(usage.input_tokens), line.multiplier_ppm) <= quote.hold_nano
