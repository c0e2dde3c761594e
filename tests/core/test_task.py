"""Tasks: who knows of them, what an answer means for their hold, and that the hold ends once whatever is told."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.catalog import Catalog, Channel, Member, Model
from extproc.core.chain import Attempt
from extproc.core.ending import Progress, Report, conclude, known_costs
from extproc.core.identity import KeyRecord
from extproc.core.learned import Learned
from extproc.core.ledger import HOLD_MS, KEEP_MS, TASK_MS, Account, AccountKind, End, Hold, State, bucket_of
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.pricing import ONE, Price, Rates, Terms, UnitKind, UnitPrice, UnitRate, Usage
from extproc.core.quote import Ask, Quote, make_quote, terms_of
from extproc.core.task import Task, attempt_for, question_quote
from extproc.dialects import routes
from tests.core.samples import KEY, caller_of, channel, group, steady
from tests.core.samples import MODEL as BY_TOKENS

NOW_MS = 1_700_000_000_000
SECOND_NANO = 100_000_000
PER_SECOND = UnitPrice(UnitRate(UnitKind.SECOND, SECOND_NANO, 1_000), {"size": "1x1"})
MODEL = Model("sora", (Price(Terms(Rates.of()), (PER_SECOND,)),), generates=False, max_output_tokens=0)
CHANNEL = channel("a", "sora", vendor="vendor-")
MAIN = group("main", Member(CHANNEL, 0, 1), models="sora", multiplier_ppm=ONE // 2)
WALLET = Account(AccountKind.WALLET, KEY.owner)


ATTEMPT = Attempt(CHANNEL, "main", ONE // 2, "vendor-sora")


def quoted(key: KeyRecord = KEY) -> Quote:
    """The quote of a video of eight seconds, at half the price."""
    said = {"size": "1x1"}
    terms = terms_of(MODEL, routes.VIDEOS, said, NOW_MS)
    assert terms
    ask, accounts = Ask("sora", units=8_000, said=said), key.accounts("2026-11")
    return make_quote(caller_of(key), accounts, ask, routes.VIDEOS, MODEL, terms, [ATTEMPT], "r1", NOW_MS, Learned())


QUOTE = quoted()
COST_NANO = 8 * SECOND_NANO // 2
TASK = Task("video_1", "r-1", "a", QUOTE, 8_000, attempts=2)


def catalog(*channels: Channel) -> Catalog:
    """A catalog of these channels."""
    return Catalog.of("r2", {each.name: each for each in channels}, {}, {"main": replace(MAIN, show_channel=True)})


def test_the_hold_of_a_task() -> None:
    """It lives for a day, for as much as was asked for; what it will cost is not known before it is made."""
    assert (QUOTE.task, QUOTE.hold_nano, QUOTE.deadline_ms - NOW_MS) == (True, COST_NANO, TASK_MS)
    assert (QUOTE.tokens.us, QUOTE.text_bytes, known_costs(QUOTE)) == (0, 0, {})
    assert TASK.forget_ms == NOW_MS + TASK_MS + KEEP_MS


def test_a_task_has_no_price_by_tokens() -> None:
    """Nobody would tell how many there were."""
    assert terms_of(BY_TOKENS, routes.VIDEOS, {}, NOW_MS) is None
    assert terms_of(MODEL, routes.VIDEOS, {"size": "2x2"}, NOW_MS) is None


def answered(status: int = 200, clean: bool = True, task: Progress | None = None) -> Report:
    """What the access log tells of the request that asked for a task."""
    return Report("r-1", status, clean, "a", None, False, 300, task=task)


@pytest.mark.parametrize(
    ("report", "state", "cost_nano"),
    [
        (answered(), State.RELEASED, 0),
        (answered(status=500), State.RELEASED, 0),
        (answered(status=0, clean=False), State.RELEASED, 0),
        (answered(task=Progress.UNDER_WAY), State.HELD, 0),
        (answered(clean=False, task=Progress.UNDER_WAY), State.HELD, 0),
        (answered(status=500, task=Progress.UNDER_WAY), State.RELEASED, 0),
        (TASK.report(Progress.UNDER_WAY, NOW_MS), State.HELD, 0),
        (TASK.report(Progress.FAILED, NOW_MS), State.RELEASED, 0),
        (TASK.report(Progress.DONE, NOW_MS), State.REPORTED, COST_NANO),
        (TASK.report(Progress.DONE, NOW_MS, units=6_500), State.REPORTED, 65 * SECOND_NANO // 20),
        (TASK.report(Progress.DONE, NOW_MS, units=16_000), State.REPORTED, 2 * COST_NANO),
        (replace(TASK, units=4_000).report(Progress.DONE, NOW_MS), State.REPORTED, COST_NANO // 2),
    ],
    ids=[
        *("no task was made", "an error", "no answer", "made", "made, and the caller has gone", "refused after all"),
        *("under way", "failed", "done", "shorter", "longer than held", "as the vendor promised"),
    ],
)
def test_what_a_report_means(report: Report, state: State, cost_nano: int) -> None:
    """Only a task that is done is charged, in full; only one that is under way stays held."""
    verdict = conclude(QUOTE, report)
    assert (verdict.state, verdict.cost_nano) == (state, cost_nano)


def test_a_report_tells_of_the_request_that_asked() -> None:
    """Its id, its attempts, how long it took in all; and where the length is not what was asked for."""
    report = TASK.report(Progress.DONE, NOW_MS + 90_000, units=6_000, doubts=("odd",))
    assert (report.request_id, report.channel, report.attempts, report.duration_ms) == ("r-1", "a", 2, 90_000)
    assert report.usage == Usage(units=6_000)
    assert report.doubts == ("odd", "units 6000, asked for 8000")
    assert TASK.report(Progress.DONE, NOW_MS, units=8_000).doubts == ()


TEAM = replace(KEY, team="red", member="ann")


@pytest.mark.parametrize(
    ("key", "known"),
    [
        (TEAM, True),
        (replace(TEAM, key_id="key_2", member="bob"), True),
        (replace(TEAM, member=""), True),
        (replace(TEAM, group="other"), True),
        (replace(TEAM, team="blue"), False),
        (KEY, False),
        (replace(TEAM, owner="mallory"), False),
    ],
    ids=["its own", "another member", "the team's", "another group", "another team", "no team", "another owner"],
)
def test_who_may_ask(key: KeyRecord, known: bool) -> None:
    """Every key of the same owner and team."""
    assert Task("video_1", "r-1", "a", quoted(TEAM), 8_000).is_known_to(key) is known
    assert TASK.is_known_to(KEY)
    assert not TASK.is_known_to(TEAM)
    assert not TASK.is_known_to(replace(KEY, owner="mallory"))


def test_a_question_goes_to_the_channel_that_made_it() -> None:
    """By the name that it has for the model, drained or not; to no other when it is gone."""
    drained = replace(CHANNEL, drained=True)
    for there in (CHANNEL, drained):
        assert attempt_for(TASK, catalog(there, channel("b", "sora"))) == replace(ATTEMPT, channel=there, shown=True)
    assert attempt_for(TASK, catalog(channel("b", "sora"))) is None
    assert attempt_for(TASK, Catalog.of("r", {"a": CHANNEL}, {}, {})) == ATTEMPT


def test_a_question_is_free_and_its_callers() -> None:
    """On the accounts of the key that asks, for as long as any request may take."""
    key = replace(TEAM, key_id="key_2")
    quote = question_quote(TASK, caller_of(key), key.accounts("2026-12"), routes.VIDEO, "r2", NOW_MS)
    assert (quote.key_id, quote.accounts, quote.model) == ("key_2", key.accounts("2026-12"), "sora")
    assert (quote.hold_nano, quote.deadline_ms, quote.task) == (0, NOW_MS + HOLD_MS, False)
    verdict = conclude(quote, replace(answered(), request_id="r-2"))
    assert (verdict.state, verdict.cost_nano) == (State.RELEASED, 0)


told = st.lists(
    st.one_of(
        st.builds(answered, st.sampled_from([0, 200, 500]), st.booleans(), st.sampled_from([None, Progress.UNDER_WAY])),
        st.builds(TASK.report, st.sampled_from(Progress), st.just(NOW_MS)),
    ),
    max_size=8,
)


@steady
@given(told, st.booleans())
async def test_a_task_is_charged_once_or_not_at_all(reports: Sequence[Report], expires: bool) -> None:
    """Whatever is told of it, in whatever order and however often: charged if it was ever done; and then nothing is
    held, nor if it ever failed.
    """
    ledger = MemoryLedger()
    ledger.put_key(KEY)
    await ledger.top_up(KEY.owner, COST_NANO, "test", 0)
    await ledger.hold(Hold("r-1", KEY.owner, KEY.key_id, 1, QUOTE.accounts, QUOTE.hold_nano, NOW_MS, QUOTE.deadline_ms))
    ended = [verdict for verdict in (conclude(QUOTE, report) for report in reports) if verdict.state is not State.HELD]
    for verdict in ended:
        end = End("r-1", KEY.owner, QUOTE.accounts, verdict.state, verdict.cost_nano, NOW_MS, QUOTE.deadline_ms, "test")
        await ledger.end(end)
    if expires:
        await ledger.expire_due(bucket_of(KEY.owner), QUOTE.deadline_ms, 10)
    sums = await ledger.balance(KEY.owner, WALLET)
    done = any(verdict.state is State.REPORTED for verdict in ended)
    assert sums.used_nano == (COST_NANO if done else 0)
    assert sums.held_nano == (0 if ended or expires else COST_NANO)
