"""Tasks in Redis: found by whose they are, never overwritten, and gone in the end."""

from dataclasses import replace

from extproc.clock import now_ms
from extproc.core.ledger import KEEP_MS, TASK_MS, bucket_of
from extproc.core.task import Task
from extproc.dialects.routes import VIDEOS
from extproc.store import keys
from extproc.store.connection import Connection
from extproc.store.tasks import RedisTasks
from tests.core.samples import quote

HELD_MS = now_ms()
TASK = Task(
    task_id="video_1:a=",
    hold_id="r-1",
    channel="a",
    quote=replace(quote(VIDEOS, stream=False), task=True, held_ms=HELD_MS, deadline_ms=HELD_MS + TASK_MS),
    units=8_000,
)


async def test_a_task_is_found_as_it_was_written(connection: Connection) -> None:
    """By its owner and its id, and by nothing else."""
    tasks = RedisTasks(connection)
    assert await tasks.add(TASK)
    assert await tasks.find(TASK.owner, TASK.task_id) == TASK
    assert await tasks.find("mallory", TASK.task_id) is None
    assert await tasks.find(TASK.owner, "video_2") is None


async def test_a_task_is_written_once(connection: Connection) -> None:
    """The same may be written again; another one of this id is refused, and the first stays. Owners do not meet."""
    tasks = RedisTasks(connection)
    assert [await tasks.add(TASK) for _ in range(2)] == [True, True]
    assert not await tasks.add(replace(TASK, hold_id="r-2", channel="b"))
    assert await tasks.find(TASK.owner, TASK.task_id) == TASK
    neighbour = next(name for name in map(str, range(100_000)) if bucket_of(name) == bucket_of(TASK.owner))
    others = replace(TASK, hold_id="r-3", quote=replace(TASK.quote, owner=neighbour))
    assert await tasks.add(others)
    assert await tasks.find(neighbour, TASK.task_id) == others
    assert await tasks.find(TASK.owner, TASK.task_id) == TASK


async def test_a_task_is_kept_as_long_as_it_may_be_charged(connection: Connection) -> None:
    """Redis forgets it when the ledger could no longer tell a repetition, in the slot of its owner."""
    await RedisTasks(connection).add(TASK)
    name = keys.task(bucket_of(TASK.owner), TASK.owner, TASK.task_id)
    assert name.startswith(f"tg:{{b{bucket_of(TASK.owner)}}}:")
    left_ms = await connection.execute("PTTL", name)
    assert HELD_MS + TASK_MS + KEEP_MS - now_ms() <= left_ms <= TASK_MS + KEEP_MS
