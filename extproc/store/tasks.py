"""Tasks in Redis, each in its owner's slot, gone by itself once nothing can come of it."""

import msgspec

from extproc.core.ledger import bucket_of
from extproc.core.task import Task
from extproc.store import keys
from extproc.store.connection import Connection


class RedisTasks:
    """`Tasks` over one connection."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def add(self, task: Task) -> bool:
        """Write one down; False when its owner has another one with this id. May be repeated."""
        name = keys.task(bucket_of(task.owner), task.owner, task.task_id)
        record = msgspec.json.encode(task).decode()
        if await self._redis.execute("SET", name, record, "NX", "PXAT", task.forget_ms):
            return True
        known = await self.find(task.owner, task.task_id)
        return known is not None and known.hold_id == task.hold_id

    async def find(self, owner: str, task_id: str) -> Task | None:
        """The owner's task with this id."""
        record = await self._redis.execute("GET", keys.task(bucket_of(owner), owner, task_id))
        return msgspec.json.decode(record, type=Task) if record else None
