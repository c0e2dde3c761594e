"""From bytes to tokens: estimates lean to the caller, and come close once answers of several lengths were seen."""

from functools import reduce
from operator import add
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.scale import (
    LEAST_SAMPLES,
    LEAST_TOKEN_BYTES,
    MOST_SAMPLES,
    MOST_TOKEN_MILLIBYTES,
    Scale,
    Start,
    Sums,
)
from tests.core.samples import steady

START = Start(token_bytes=400, least_overhead_bytes=500, most_overhead_bytes=3_000, tail_bytes=300)
REPEATING = Start(token_bytes=400, least_overhead_bytes=500, most_overhead_bytes=3_000, tail_bytes=300, repeats=4)
INT64 = 2**63 - 1

lengths = st.integers(1, 20_000)
overheads = st.integers(START.least_overhead_bytes, START.most_overhead_bytes)
event_bytes = st.integers(10, 1_000)


def learned(answers: list[tuple[int, int]]) -> Sums:
    """The sums of answers, each with its tokens and bytes."""
    return reduce(add, (Sums.of(tokens, size) for tokens, size in answers), Sums())


@pytest.mark.parametrize(
    ("size_bytes", "whole", "tokens"),
    [
        (0, False, 0),
        (1_000, False, 0),
        (1_039, False, 0),
        (1_040, False, 1),
        (1_400, False, 10),
        (1_500, True, 0),
        (1_549, True, 0),
        (1_550, True, 1),
        (2_000, True, 10),
    ],
)
def test_tokens_are_counted_behind_the_overhead(size_bytes: int, whole: bool, tokens: int) -> None:
    """1,000 bytes before the first token and 40 for each; in a whole answer 500 more at the end and 10 for each."""
    assert Scale(1_000, 40_000, 500, 10_000).tokens(size_bytes, whole) == tokens


@pytest.mark.parametrize("count", [0, 1, LEAST_SAMPLES - 1])
def test_a_few_answers_change_nothing(count: int) -> None:
    """As long as too few were seen, the scale is the one to begin with."""
    assert START.fit(learned([(100, 1_000)] * count)) == START.scale() == Scale(2_700, 400_000, 300, 0)


def test_answers_that_shrink_with_their_tokens_change_nothing() -> None:
    """Where more tokens have fewer bytes, they have nothing to do with one another: one goes on as one began."""
    assert START.fit(learned([(tokens, 20_000 - 100 * tokens) for tokens in range(1, 150)])) == START.scale()


@steady
@given(st.lists(lengths, min_size=LEAST_SAMPLES, max_size=60), overheads, event_bytes, lengths)
def test_a_beginning_is_never_more_than_it_was(seen: list[int], overhead: int, token_bytes: int, produced: int) -> None:
    """Answers of any lengths, all on one line, whatever its overhead: no beginning is taken for more than it has.

    What an answer has after its last token is not less than is known of the API, so the beginning has the rest at most.
    """
    scale = START.fit(learned([(tokens, overhead + token_bytes * tokens) for tokens in seen]))
    assert scale.tokens(overhead - START.tail_bytes + token_bytes * produced, whole=False) <= produced
    assert scale.tokens(overhead + token_bytes * produced, whole=True) <= produced


@steady
@given(st.integers(1, 2_000), overheads, event_bytes, lengths)
def test_answers_of_one_length_do_not_mislead(seen: int, overhead: int, token_bytes: int, produced: int) -> None:
    """If all answers had one length, nothing tells overhead from tokens: no other is overcharged."""
    scale = START.fit(learned([(seen, overhead + token_bytes * seen)] * 100))
    assert scale.tokens(overhead - START.tail_bytes + token_bytes * produced, whole=False) <= produced


@steady
@given(
    st.lists(st.integers(10, 2_000), min_size=LEAST_SAMPLES, max_size=60, unique=True),
    overheads,
    st.integers(50, 1_000),
    st.integers(500, 2_000),
)
def test_a_long_beginning_comes_close(seen: list[int], overhead: int, token_bytes: int, produced: int) -> None:
    """With answers of different lengths, an estimate of 500 tokens and more is within 15 % of what was produced."""
    seen = [10, 2_000, *seen]
    scale = START.fit(learned([(tokens, overhead + token_bytes * tokens) for tokens in seen]))
    assert scale.tokens(overhead + token_bytes * produced, whole=True) >= 0.85 * produced


def test_scattered_answers_lean_to_the_caller() -> None:
    """Of answers whose tokens have 80 to 120 bytes, fewer than one in a hundred is taken for more than it is."""
    draw = Random(1)
    answers = [
        (tokens, 1_000 + round(draw.gauss(100, 8) * tokens))
        for tokens in (draw.randint(10, 1_000) for _ in range(4_000))
    ]
    scale = START.fit(learned(answers[:2_000]))
    over = [tokens for tokens, size in answers[2_000:] if scale.tokens(size) > tokens]
    assert len(over) < 20


@steady
@given(st.lists(st.tuples(lengths, st.integers(LEAST_TOKEN_BYTES, 20)), min_size=LEAST_SAMPLES, max_size=60), overheads)
def test_text_that_is_said_again_at_the_end_makes_a_beginning_count_more(
    seen: list[tuple[int, int]], overhead: int
) -> None:
    """Where the end repeats the text four times, a beginning has fewer bytes per token than the whole: 8 or more."""
    answers = [(tokens, overhead + (200 + 5 * text) * tokens) for tokens, text in seen]
    scale, plain = REPEATING.fit(learned(answers)), START.fit(learned(answers))
    assert scale.tail_token_millibytes >= 4 * LEAST_TOKEN_BYTES * 1000
    assert abs(plain.token_millibytes - scale.token_millibytes - scale.tail_token_millibytes) <= 1


@steady
@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**12)), max_size=60))
def test_nothing_that_is_seen_can_break_a_scale(answers: list[tuple[int, int]]) -> None:
    """Whatever vendors say: bytes per token stay above zero, and nothing counts below zero."""
    scale = START.fit(learned(answers))
    assert scale.token_millibytes >= 1
    assert min(scale.head_bytes, scale.tail_bytes, scale.tail_token_millibytes) >= 0


@steady
@given(st.lists(st.tuples(lengths, st.integers(0, 10**6))), st.randoms(use_true_random=False))
def test_the_order_of_learning_does_not_matter(answers: list[tuple[int, int]], draw: Random) -> None:
    """Sums of parts, in any order, are the sums of all: workers may add theirs whenever they like."""
    mixed = draw.sample(answers, len(answers))
    half = len(mixed) // 2
    assert learned(mixed[:half]) + learned(mixed[half:]) == learned(answers)


@pytest.mark.parametrize("answer", [(0, 500), (1, MOST_TOKEN_MILLIBYTES), (10, 10**9)])
def test_some_answers_teach_nothing(answer: tuple[int, int]) -> None:
    """One without tokens, and one whose tokens are larger than any."""
    assert Sums.of(*answer) == Sums()


@steady
@given(st.integers(1, 10**9), st.integers(0, 10**12))
def test_a_day_of_the_largest_answers_fits_in_redis(tokens: int, size_bytes: int) -> None:
    """Twice the most that is added up is still an integer of Redis."""
    one = Sums.of(tokens, size_bytes)
    sums = [one.count, one.x, one.y, one.xx, one.xy, one.yy]
    assert 2 * MOST_SAMPLES * max(sums) <= INT64
