"""task: the vendor's answers about tasks, which the sidecar sees before the caller does.

The filter holds an answer until it is told to go on. So a task is written down before anybody can ask for it, and what
was made is paid for before anybody can have it. Of a video's content only the headers come here, the content never.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from extproc.core.catalog import Dialect
from extproc.core.ending import Progress
from extproc.core.quote import Quote
from extproc.core.task import Task, Tasks
from extproc.dialects.routes import OPERATIONS, VIDEO_CONTENT, VIDEO_DELETE
from extproc.dialects.videos import read_answer
from extproc.errors import INTERNAL, LEDGER_AWAY, TASK_NOT_MADE, LedgerUnavailable, Refusal
from extproc.wire import codec, replies
from extproc.wire.admit import Stream
from extproc.wire.pb.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from extproc.wire.reports import Reports

log = structlog.get_logger()

NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class TaskAnswers:
    """Writes down the tasks that answers name, and ends the holds of those that have come to an end."""

    tasks: Tasks
    reports: Reports
    now_ms: Callable[[], int]

    async def serve(self, first: ProcessingRequest, stream: Stream) -> None:
        """Look at one answer, and let it go on, or put a refusal in its place."""
        answer = codec.read_answer(first)
        try:
            reply = await self._serve(answer, stream)
        except LedgerUnavailable as error:
            log.warning("ledger_unavailable", request_id=answer.request_id, error=str(error))
            reply = LEDGER_AWAY.saying("What the upstream makes could not be written down. Nothing was charged.")
        except Exception:
            log.exception("task_answer_failed", request_id=answer.request_id)
            reply = INTERNAL
        if isinstance(reply, Refusal):
            reply = replies.refuse(reply, _dialect(answer.quote), answer.request_id)
        await stream.write(reply)

    async def _serve(self, answer: codec.Answer, stream: Stream) -> ProcessingResponse | Refusal:
        if answer.quote is None:
            return codec.pass_headers()
        if answer.quote.task:
            return await self._made(answer, answer.quote, stream)
        if answer.task is not None:
            return await self._told(answer, answer.task, stream)
        return codec.pass_headers()

    async def _made(self, answer: codec.Answer, quote: Quote, stream: Stream) -> ProcessingResponse | Refusal:
        """The answer to what asked for a task. What it names is written down, before the caller learns of it."""
        if not 200 <= answer.status < 300:
            return codec.pass_headers()
        told = read_answer(await _body(answer, stream))
        if told is None or told.task_id is None or answer.channel not in quote.lines:
            log.error("task_not_made", request_id=answer.request_id, channel=answer.channel)
            return TASK_NOT_MADE
        task = Task(
            task_id=told.task_id,
            hold_id=answer.request_id,
            channel=answer.channel,
            quote=quote,
            units=told.units or quote.units,
            attempts=answer.attempts,
        )
        if not await self.tasks.add(task):
            log.error("task_id_repeated", request_id=answer.request_id, channel=answer.channel)
            return TASK_NOT_MADE
        await self._end(task, told.progress, told.units)
        return codec.pass_body(made=task.task_id)

    async def _told(self, answer: codec.Answer, task: Task, stream: Stream) -> ProcessingResponse | Refusal:
        """The answer to a question about a task."""
        operation = OPERATIONS[answer.quote.operation] if answer.quote else None
        good = 200 <= answer.status < 300
        if operation is VIDEO_CONTENT and 200 <= answer.status < 400 and answer.status != NOT_MODIFIED:
            await self._end(task, Progress.DONE)
        elif operation is VIDEO_DELETE and good:
            await self._end(task, Progress.FAILED)
        elif operation is not VIDEO_CONTENT and good:
            told = read_answer(await _body(answer, stream))
            if told is not None:
                await self._end(task, told.progress, told.units)
            return codec.pass_headers() if answer.ends else codec.pass_body()
        return codec.pass_headers()

    async def _end(self, task: Task, progress: Progress, units: int = 0) -> None:
        now_ms = self.now_ms()
        await self.reports.conclude(task.quote, task.report(progress, now_ms, units), "task", now_ms)


async def _body(answer: codec.Answer, stream: Stream) -> bytes:
    """The whole body of the answer."""
    if answer.ends:
        return b""
    await stream.write(codec.pass_headers())
    second = await stream.read()
    return codec.read_body(second) if isinstance(second, ProcessingRequest) else b""


def _dialect(quote: Quote | None) -> Dialect:
    return OPERATIONS[quote.operation].dialect if quote else Dialect.OPENAI
