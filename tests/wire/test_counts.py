"""What is counted of holds, refusals and ends: each thing once, whoever tells it and however often."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.core.ending import Report, conclude
from extproc.core.learned import Learned
from extproc.core.ledger import End, EndResult, Hold, Outcome, State, bucket_of
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.pricing import Usage
from extproc.core.record import make_record
from extproc.errors import KEY_QUOTA, NO_KEY
from extproc.metrics import WORKER
from extproc.wire import codec
from extproc.wire.counts import count_end, count_hold, count_refusal
from extproc.wire.reports import Reports
from extproc.wire.spool import Spool
from tests.core.samples import KEY
from tests.wire.test_codec import CHAT
from tests.wire.test_reports import Flaky, Link

Sample = tuple[str, tuple[tuple[str, str], ...]]

USAGE = Usage.of(100, 40, 0, 20, 5)
ANSWERED = Report("r", 200, True, "a", USAGE, True, 4_000)
CUT = replace(ANSWERED, clean=False, usage=Usage.of(100, 40, 0, 1), usage_whole=False, sent_bytes=0)
FAILED = replace(ANSWERED, status=500, usage=None)

REQUEST = 'requests{operation="openai.chat",group="main",channel="a",status="%s"}'


def samples() -> dict[str, float]:
    """Every counter now, with the part of its name that tells them apart."""
    found = {}
    for family in WORKER.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                name = sample.name.removeprefix("tollgate_").removesuffix("_total")
                found[f"{name}{{{labels}}}" if labels else name] = sample.value
    return found


def counted(work: Callable[[], object]) -> dict[str, float]:
    """What has become more."""
    before = samples()
    work()
    return {name: value - before.get(name, 0) for name, value in samples().items() if value != before.get(name, 0)}


def end_of(report: Report, reporter: str = "trailers") -> End:
    """The end that this report is of a request on `CHAT`."""
    verdict = conclude(CHAT, report)
    record = codec.encode_record(make_record(CHAT, report, verdict, reporter))
    return End(
        "r",
        CHAT.owner,
        CHAT.accounts,
        verdict.state,
        verdict.cost_nano,
        CHAT.held_ms,
        CHAT.deadline_ms,
        reporter,
        record,
    )


async def ledger() -> MemoryLedger:
    """One with `CHAT` held."""
    made = MemoryLedger()
    made.put_key(replace(KEY, key_id=CHAT.key_id, owner=CHAT.owner))
    await made.top_up(CHAT.owner, 10**12, "test", 0)
    held = await made.hold(
        Hold("r", CHAT.owner, CHAT.key_id, KEY.revision, CHAT.accounts, CHAT.hold_nano, CHAT.held_ms, CHAT.deadline_ms)
    )
    assert held.outcome is Outcome.HELD
    return made


async def counts_of(*ends: End) -> list[dict[str, float]]:
    """What each of these reports adds, told one after the other."""
    books = await ledger()
    found = []
    for end in ends:
        result = await books.end(end)
        found.append(counted(lambda end=end, result=result: count_end(end, result)))  # type: ignore[misc]
    return found


TOKENS = {
    'tokens{model="gpt",class="input"}': 60,
    'tokens{model="gpt",class="cache_read"}': 40,
    'tokens{model="gpt",class="output"}': 15,
    'tokens{model="gpt",class="reasoning"}': 5,
}
COST = conclude(CHAT, ANSWERED).cost_nano
SETTLED = 'settled_nano_usd{group="main",channel="a"}'
REPORTED = {
    'ends{reporter="trailers",usage_source="reported"}': 1,
    REQUEST % "2xx": 1,
    SETTLED: COST,
    **TOKENS,
}


async def test_a_settled_request() -> None:
    """One end, one request of its operation, group, channel and status, its cost, each token in one class."""
    assert await counts_of(end_of(ANSWERED)) == [REPORTED]


async def test_repetitions_are_not_counted() -> None:
    """The access log says what the trailers have said, on whichever worker: nothing becomes more."""
    assert (await counts_of(end_of(ANSWERED), end_of(ANSWERED, "access_log"), end_of(CUT)))[1:] == [{}, {}]


async def test_a_request_that_failed() -> None:
    """A release is an end without a usage source, a request with its status, and no money."""
    assert await counts_of(end_of(FAILED)) == [{'ends{reporter="trailers",usage_source="none"}': 1, REQUEST % "5xx": 1}]


async def test_a_better_report_corrects() -> None:
    """What the second charges beside the first is counted; the request and its tokens were counted before."""
    cost = conclude(CHAT, CUT).cost_nano
    first, second = await counts_of(end_of(CUT), end_of(ANSWERED))
    assert first[SETTLED] == cost < COST
    assert second == {'ends{reporter="trailers",usage_source="reported"}': 1, SETTLED: COST - cost}


async def test_a_correction_downwards() -> None:
    """Money that is taken off again does not make a counter fall: it has one of its own."""
    dear = replace(end_of(CUT), cost_nano=COST + 7)
    _, second = await counts_of(dear, end_of(ANSWERED))
    assert second == {'ends{reporter="trailers",usage_source="reported"}': 1, "corrected_nano_usd": 7}


async def test_an_overrun() -> None:
    """A settlement above its hold counts once, with what it was above it."""
    large = end_of(replace(ANSWERED, usage=Usage.of(10_000_000)))
    (found,) = await counts_of(large)
    assert (found["overruns"], found["overrun_nano_usd"]) == (1, large.cost_nano - CHAT.hold_nano)


async def test_doubts() -> None:
    """A request whose usage does not add up counts once, though both reporters see it."""
    doubted = replace(ANSWERED, doubts=("more cached than there was",))
    first, second = await counts_of(end_of(doubted), end_of(doubted, "access_log"))
    assert (first["usage_doubts"], second) == (1, {})


async def test_a_late_settlement() -> None:
    """One of a hold that had expired counts as late, and as a request; so does one of a hold that was lost."""
    books = await ledger()
    await books.expire_due(bucket_of(CHAT.owner), CHAT.deadline_ms + 1, 10)
    late = await books.end(end_of(ANSWERED))
    assert counted(lambda: count_end(end_of(ANSWERED), late)) == REPORTED | {"settlements_late": 1}
    lost = await MemoryLedger().end(end_of(ANSWERED))
    assert counted(lambda: count_end(end_of(ANSWERED), lost)) == REPORTED | {"settlements_late": 1}


async def test_nothing_to_release() -> None:
    """A release for a hold that was never taken, of a request that was never let through, is no end."""
    nothing = End("x", "nobody", (), State.RELEASED, 0, 1, 2, "access_log")
    result = await MemoryLedger().end(nothing)
    assert (result.outcome, counted(lambda: count_end(nothing, result))) == (Outcome.ENDED, {})


@pytest.mark.parametrize("outcome", [Outcome.DISAGREES, Outcome.TOO_LATE, Outcome.OVER_MAXIMUM])
def test_a_refused_report(outcome: Outcome) -> None:
    """It counts by why it was refused, and as nothing else."""
    result = EndResult(outcome, State.REPORTED, 5)
    assert counted(lambda: count_end(end_of(ANSWERED), result)) == {f'reports_refused{{outcome="{outcome}"}}': 1}


def test_a_record_of_another_version() -> None:
    """What an older Tollgate left in the spool may lack what is counted: the end counts, and nothing fails."""
    old = replace(end_of(ANSWERED), record='{"owner":"ada"}')
    result = EndResult(Outcome.ENDED, State.REPORTED, 5, False, State.HELD, 5)
    assert counted(lambda: count_end(old, result)) == {'ends{reporter="trailers",usage_source="reported"}': 1}


def test_holds_and_refusals() -> None:
    """A hold counts by its outcome, and its money only if it was taken; a refusal by its code and reason."""
    assert counted(lambda: count_hold(Outcome.HELD, 40)) == {'holds{outcome="held"}': 1, "held_nano_usd": 40}
    assert counted(lambda: count_hold(Outcome.WALLET, 40)) == {'holds{outcome="wallet"}': 1}
    assert counted(lambda: count_hold(Outcome.EXISTS, 40)) == {'holds{outcome="exists"}': 1}
    quota = 'refusals{code="insufficient_quota",reason="api_key_quota_exceeded"}'
    assert counted(lambda: count_refusal(KEY_QUOTA)) == {quota: 1}
    assert counted(lambda: count_refusal(NO_KEY)) == {'refusals{code="invalid_api_key",reason=""}': 1}


async def test_reports_that_wait_and_reports_that_are_lost(tmp_path: Path) -> None:
    """One that has to wait counts as spooled and, told later, as an end; one without room counts as dropped."""
    ledger = Flaky(Link.DOWN)
    spool = Spool(tmp_path, 0)
    reports = Reports(ledger, Learned(), spool, lambda: CHAT.held_ms)
    before = samples()
    await reports.send(end_of(ANSWERED))
    (spooled,) = [name for name, value in samples().items() if value != before[name]]
    assert (spooled, samples()[spooled] - before[spooled]) == ("reports_spooled", 1)

    ledger.link = Link.UP
    before = samples()
    await reports._replay()
    end = 'ends{reporter="trailers",usage_source="reported"}'
    assert samples()[end] - before.get(end, 0) == 1

    ledger.link = Link.DOWN
    before = samples()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spool, "full", True)
        await reports.send(end_of(FAILED))
    assert samples()["reports_dropped"] - before["reports_dropped"] == 1
    assert samples()["reports_spooled"] == before["reports_spooled"]
