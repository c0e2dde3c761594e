"""A bucket that a minute's worth fills and that empties in a minute, by properties of any sequence of requests."""

from hypothesis import given
from hypothesis import strategies as st

from extproc.core.identity import KeyRecord
from extproc.core.ledger import Hold, Outcome
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.rate import LONGEST_US, WINDOW_US, Draw
from tests.core.samples import steady

amounts = st.integers(0, 10**12)
limits = st.integers(1, 10**9)


@given(limits, amounts)
def test_a_request_fills_its_share_of_a_minute(per_minute: int, amount: int) -> None:
    """Half a minute's worth fills half of it; what is absurd fills no more than an hour, as the hold itself would."""
    assert Draw(per_minute, amount).us == min(amount * WINDOW_US // per_minute, LONGEST_US)


@given(limits, amounts, amounts)
def test_the_end_leaves_what_was_used(per_minute: int, amount: int, used: int) -> None:
    """The estimate less what goes back is what was used, be it more or less."""
    draw = Draw(per_minute, amount)
    assert draw.us - draw.back_us(used) == Draw(per_minute, used).us


@given(amounts, amounts)
def test_no_limit_draws_nothing(amount: int, used: int) -> None:
    """Where there is no limit nothing is counted, given back or told."""
    draw = Draw(0, amount)
    assert (draw.us, draw.back_us(used), draw.level(0, 10**15)) == (0, 0, None)


@steady
@given(st.integers(1, 20), st.lists(st.integers(0, 20_000), max_size=60), st.integers(0, 60_000))
async def test_no_window_has_more_than_it_may(per_minute: int, gaps_ms: list[int], window_ms: int) -> None:
    """In any stretch of time no more is admitted than a full minute and what came back meanwhile."""
    ledger, key = MemoryLedger(), KeyRecord("key", "ada", "sk-", "", "g")
    ledger.put_key(key)
    now_ms, admitted = 1_700_000_000_000, list[int]()
    for number, gap_ms in enumerate(gaps_ms):
        now_ms += gap_ms
        hold = Hold(str(number), "ada", "key", 1, (), 0, now_ms, now_ms + 1, requests=Draw(per_minute, 1), max_live=100)
        result = await ledger.hold(hold)
        assert result.requests is not None
        if result.outcome is Outcome.HELD:
            admitted.append(now_ms)
        else:
            assert 0 < result.requests.retry_ms <= 60_000
            assert result.requests.remaining == 0
    share_us = Draw(per_minute, 1).us
    for start in admitted:
        inside = sum(1 for at in admitted if start <= at <= start + window_ms)
        assert inside * share_us <= WINDOW_US + window_ms * 1000


@given(limits, amounts, st.integers(0, 10**10))
def test_waiting_as_long_as_told_is_enough(per_minute: int, amount: int, filled_us: int) -> None:
    """After `retry_ms` the same request fits, and a millisecond earlier it did not."""
    draw, now_us = Draw(per_minute, amount), 10**15
    told = draw.level(now_us + filled_us, now_us)
    assert told is not None
    later = draw.level(now_us + filled_us, now_us + told.retry_ms * 1000)
    assert later is not None
    assert later.retry_ms == 0
    if told.retry_ms:
        earlier = draw.level(now_us + filled_us, now_us + (told.retry_ms - 1) * 1000)
        assert earlier is not None
        assert earlier.retry_ms == 1
