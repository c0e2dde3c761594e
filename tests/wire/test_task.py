"""task: what is written down of an answer, what its end charges, and what the caller gets in place of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from extproc import names
from extproc.core.learned import Learned
from extproc.core.ledger import Account, AccountKind, End, EndResult, Hold
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.quote import Quote
from extproc.core.task import Task, question_quote
from extproc.dialects import routes
from extproc.errors import LedgerUnavailable
from extproc.wire import codec
from extproc.wire.pb.core_pb2 import Metadata
from extproc.wire.pb.ext_proc_pb2 import HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse
from extproc.wire.reports import Reports
from extproc.wire.spool import Spool
from extproc.wire.task import TaskAnswers
from tests.core.samples import KEY, caller_of
from tests.core.test_task import COST_NANO, NOW_MS, QUOTE, TASK
from tests.wire.test_codec import metadata_of

WALLET = Account(AccountKind.WALLET, KEY.owner)
VIDEO = b'{"id":"video_1","status":"queued","seconds":"8"}'


@dataclass
class Tasks:
    """Tasks in a dictionary."""

    known: dict[tuple[str, str], Task] = field(default_factory=dict)
    away: bool = False

    async def add(self, task: Task) -> bool:
        if self.away:
            raise LedgerUnavailable("no answer")
        return self.known.setdefault((task.owner, task.task_id), task) == task

    async def find(self, owner: str, task_id: str) -> Task | None:
        return self.known.get((owner, task_id))


class Ledger(MemoryLedger):
    """A ledger that may be away when an end is told."""

    away = False
    ends = 0

    async def end(self, end: End) -> EndResult:
        self.ends += 1
        if self.away:
            raise LedgerUnavailable("no answer")
        return await super().end(end)


@dataclass
class Stream:
    """A gRPC stream as task sees it."""

    body: bytes | None
    written: list[ProcessingResponse] = field(default_factory=list)

    async def read(self) -> Any:
        body, self.body = self.body, None
        return None if body is None else ProcessingRequest(response_body=HttpBody(body=body, end_of_stream=True))

    async def write(self, response: ProcessingResponse) -> None:
        self.written.append(ProcessingResponse.FromString(response.SerializeToString()))


@dataclass
class Desk:
    """The filter's side of a worker, with one hold in its ledger."""

    tasks: Tasks
    ledger: Ledger
    answers: TaskAnswers

    async def answer(
        self, status: int, body: bytes | None, quote: Quote | None = QUOTE, task: Task | None = None, channel: str = "a"
    ) -> list[ProcessingResponse]:
        """What is answered to this answer of a vendor's; None for one without a body."""
        metadata = Metadata()
        if quote:
            metadata.filter_metadata[names.METADATA_NAMESPACE]["quote"] = codec.encode_record(quote)
        if task:
            metadata.filter_metadata[names.METADATA_NAMESPACE]["task"] = codec.encode_record(task)
        first = ProcessingRequest(response_headers=HttpHeaders(end_of_stream=body is None), metadata_context=metadata)
        first.attributes["envoy.filters.http.ext_proc"].update(
            {
                "request.id": "r-1" if task is None else "r-2",
                "response.code": status,
                "xds.cluster_name": f"channel_{channel}@1",
                "upstream.request_attempt_count": 2,
            }
        )
        stream = Stream(body)
        await self.answers.serve(first, stream)  # type: ignore[arg-type]
        return stream.written

    async def sums(self) -> tuple[int, int]:
        """What is held and used of the wallet."""
        sums = await self.ledger.balance(KEY.owner, WALLET)
        return sums.held_nano, sums.used_nano


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A worker whose ledger holds what a video of eight seconds may cost."""
    ledger, tasks = Ledger(), Tasks()
    ledger.put_key(KEY)
    await ledger.top_up(KEY.owner, 10**9, "test", 0)
    accounts, amount_nano = QUOTE.accounts, QUOTE.hold_nano
    await ledger.hold(Hold("r-1", KEY.owner, KEY.key_id, 1, accounts, amount_nano, NOW_MS, QUOTE.deadline_ms))
    reports = Reports(ledger, Learned(), Spool(tmp_path, 0), lambda: NOW_MS)
    yield Desk(tasks, ledger, TaskAnswers(tasks, reports, lambda: NOW_MS))
    reports.drain()


def kinds(written: list[ProcessingResponse]) -> list[str | None]:
    """What each answer is an answer to."""
    return [response.WhichOneof("response") for response in written]


def refusal(written: list[ProcessingResponse]) -> tuple[int, str | None]:
    """Status and reason of the last answer, which must be a refusal."""
    immediate = written[-1].immediate_response
    return immediate.status.code, json.loads(immediate.body)["error"].get("reason")


async def test_a_task_is_written_down_before_the_caller_knows(desk: Desk) -> None:
    """All that a question about it needs, and nothing moves; Envoy is told its id, for the access log."""
    written = await desk.answer(200, VIDEO)
    assert kinds(written) == ["response_headers", "response_body"]
    assert metadata_of(written[-1]) == {"made": "video_1"}
    assert list(desk.tasks.known.values()) == [TASK]
    assert (await desk.sums(), desk.ledger.ends) == ((COST_NANO, 0), 0)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"id":""}', b'{"id":"a/b"}', None])
async def test_an_answer_that_names_no_task_is_kept_from_the_caller(desk: Desk, body: bytes | None) -> None:
    """They could not ask for it. The access log, which sees the error, releases the hold."""
    assert refusal(await desk.answer(200, body)) == (500, "task_not_made")
    assert desk.tasks.known == {}


async def test_a_task_of_a_channel_that_was_not_quoted_is_not_made(desk: Desk) -> None:
    """There would be no price for it."""
    assert refusal(await desk.answer(200, VIDEO, channel="other")) == (500, "task_not_made")


async def test_an_id_that_the_owner_has_already(desk: Desk) -> None:
    """It would hide the first task of that id."""
    first = replace(TASK, hold_id="r-0")
    desk.tasks.known[KEY.owner, "video_1"] = first
    assert refusal(await desk.answer(200, VIDEO)) == (500, "task_not_made")
    assert list(desk.tasks.known.values()) == [first]


async def test_a_task_that_cannot_be_written_down(desk: Desk) -> None:
    """The caller is told so."""
    desk.tasks.away = True
    assert refusal(await desk.answer(200, VIDEO)) == (503, "ledger_unavailable")


@pytest.mark.parametrize("status", [0, 302, 400, 429, 500])
async def test_an_error_passes(desk: Desk, status: int) -> None:
    """What the vendor says goes to the caller, and nothing is written down."""
    assert kinds(await desk.answer(status, VIDEO)) == ["response_headers"]
    assert desk.tasks.known == {}


async def test_a_refusal_of_ours_passes(desk: Desk) -> None:
    """It has no quote, as nobody was admitted."""
    assert kinds(await desk.answer(401, b"{}", quote=None)) == ["response_headers"]


@pytest.mark.parametrize(("status", "sums"), [("completed", (0, COST_NANO)), ("failed", (0, 0))])
async def test_a_task_that_has_come_to_its_end_at_once(desk: Desk, status: str, sums: tuple[int, int]) -> None:
    """Some vendors answer when all is done."""
    assert metadata_of((await desk.answer(200, VIDEO.replace(b"queued", status.encode())))[-1]) == {"made": "video_1"}
    assert await desk.sums() == sums


def question(operation: Any) -> Quote:
    """The quote of a question about the task."""
    return question_quote(TASK, caller_of(KEY), QUOTE.accounts, operation, "r1", NOW_MS)


def told(**said: Any) -> bytes:
    """What the vendor says of the task."""
    return json.dumps({"id": "video_1", **said}).encode()


ASKED = [
    (routes.VIDEO, 200, told(status="queued"), (COST_NANO, 0)),
    (routes.VIDEO, 200, told(status="in_progress"), (COST_NANO, 0)),
    (routes.VIDEO, 200, told(status="completed"), (0, COST_NANO)),
    (routes.VIDEO, 200, told(status="completed", seconds="4"), (0, COST_NANO // 2)),
    (routes.VIDEO, 200, told(status="failed"), (0, 0)),
    (routes.VIDEO, 200, b"<html>", (COST_NANO, 0)),
    (routes.VIDEO, 200, None, (COST_NANO, 0)),
    (routes.VIDEO, 404, told(status="completed"), (COST_NANO, 0)),
    (routes.VIDEO, 500, told(status="failed"), (COST_NANO, 0)),
    (routes.VIDEO_CONTENT, 200, b"", (0, COST_NANO)),
    (routes.VIDEO_CONTENT, 206, b"", (0, COST_NANO)),
    (routes.VIDEO_CONTENT, 302, None, (0, COST_NANO)),
    (routes.VIDEO_CONTENT, 304, None, (COST_NANO, 0)),
    (routes.VIDEO_CONTENT, 404, b"", (COST_NANO, 0)),
    (routes.VIDEO_DELETE, 200, told(deleted=True), (0, 0)),
    (routes.VIDEO_DELETE, 404, b"", (COST_NANO, 0)),
]


@pytest.mark.parametrize(("operation", "status", "body", "sums"), ASKED)
async def test_what_an_answer_moves(
    desk: Desk, operation: Any, status: int, body: bytes | None, sums: tuple[int, int]
) -> None:
    """Done, or on its way to the caller: charged. Failed or deleted: released. The answer passes in any case."""
    written = await desk.answer(status, body, question(operation), TASK)
    assert await desk.sums() == sums
    has_body = operation is routes.VIDEO and status == 200 and body is not None
    assert kinds(written) == ["response_headers", *["response_body"] * has_body]
    assert not any(response.HasField("dynamic_metadata") for response in written)


async def test_it_is_charged_before_the_caller_is_answered(desk: Desk) -> None:
    """Of content, at its headers: the filter is answered once the ledger has been told."""
    seen: list[tuple[int, int]] = []

    class Watching(Stream):
        async def write(self, response: ProcessingResponse) -> None:
            assert response.HasField("response_headers")
            seen.append(await desk.sums())

    first = ProcessingRequest(response_headers=HttpHeaders(), metadata_context=Metadata())
    ours = first.metadata_context.filter_metadata[names.METADATA_NAMESPACE]
    ours.update({"quote": codec.encode_record(question(routes.VIDEO_CONTENT)), "task": codec.encode_record(TASK)})
    first.attributes["x"].update({"response.code": 200})
    await desk.answers.serve(first, Watching(None))  # type: ignore[arg-type]
    assert seen == [(0, COST_NANO)]


async def test_repeated_and_contradicting_answers_charge_once(desk: Desk) -> None:
    """What was done stays done, whatever is said later."""
    for operation, status, body, _ in [*ASKED, *reversed(ASKED)]:
        if body != told(status="completed", seconds="4"):
            await desk.answer(status, body, question(operation), TASK)
    assert await desk.sums() == (0, COST_NANO)
    charged = [entry for entry in desk.ledger.usage_log if entry.cost_nano]
    assert [(entry.hold_id, entry.cost_nano, entry.reporter) for entry in charged] == [("r-1", COST_NANO, "task")]


async def test_the_ledger_is_away_at_the_end(desk: Desk, tmp_path: Path) -> None:
    """The caller gets the answer; that it is to be paid waits on disk."""
    desk.ledger.away = True
    written = await desk.answer(200, b"", question(routes.VIDEO_CONTENT), TASK)
    assert kinds(written) == ["response_headers"]
    (waiting,) = [path.read_bytes() for path in tmp_path.glob("*/*.jsonl")]
    assert json.loads(waiting[9:])["cost_nano"] == COST_NANO


async def test_a_fault_of_ours_is_an_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the answer without what had to be done first."""

    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Task, "report", broken)
    assert refusal(await desk.answer(200, b"", question(routes.VIDEO_CONTENT), TASK)) == (500, None)
    assert await desk.sums() == (COST_NANO, 0)
