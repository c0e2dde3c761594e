"""The way to one Redis server: calls of one event loop tick share a pipeline.

    a caller → waits → the next pipeline → its own answer or error

One pipeline is under way at a time, and what is called meanwhile goes into the next: the busier it gets, the fewer
round trips a call costs. A caller that gives up takes nothing from the others: only its own future is cancelled. One
timer looks after all callers, for a timeout around each call costs more than sending it.

With replicas to wait for, a pipeline with a write in it ends in `WAIT`: a primary answers before any replica has the
write, and one that dies just then takes it along. `WAIT` waits for what its own connection wrote, and a verb that is
repeated writes nothing, so each such pipeline writes a mark of its own, behind which all that was answered stands.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import (
    ChildDeadlockedError,
    IncorrectPolicyType,
    NoScriptError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as NoAnswer

from extproc.store import scripts
from extproc.store.pipe import Command, Pipe

FOREIGN = (RedisError, RedisClusterException, ChildDeadlockedError, IncorrectPolicyType, OSError)
"""All that redis-py raises; what the system and a timeout raise is an `OSError`."""

ANSWER_SECONDS = 2.0
"""The most that any call takes, waiting included; whether it took effect is then unknown."""

REPLICA_SECONDS = 1.0
"""How long replicas may take to have a write: less than a call may take in all."""

MARK_SECONDS = 60

GLANCE_SECONDS = 0.01
"""How often at most it is looked who has waited long enough: while Redis hangs, many have."""

READS = {
    *("CLUSTER SLOTS", "CONFIG", "ECHO", "EXISTS", "GET", "HGET", "HGETALL", "HMGET", "INFO", "PING", "SMEMBERS"),
    *("TIME", "XRANGE", "XREVRANGE", "ZCARD", "ZRANGE"),
}
"""Commands of which no replica need know. Any other may change something."""

ASKING: Command = ("ASKING",)


class TooFewReplicas(RedisError):
    """A write is done, but not where it would outlive its server."""


class Overdue(NoAnswer):
    """No answer in time; whether it took effect is unknown."""

    def __init__(self) -> None:
        super().__init__(f"did not answer within {ANSWER_SECONDS} s")


@dataclass(slots=True)
class _Call:
    command: Command
    asking: bool
    due: float
    answer: asyncio.Future[Any]

    @property
    def writes(self) -> bool:
        return self.command[0] not in READS


class Lane:
    """One connection to one server, or to the primary that Sentinels name. Connects when first used, and when lost.

    `replicas` must have each write. A lost connection is tried once more at once, which is safe because every verb may
    be repeated. Whoever waits is told something: an answer, an error, `Overdue`, or a fault in here, as an exception.
    """

    def __init__(self, name: str, redis: Redis, replicas: int = 0) -> None:
        self.name = name
        self._redis = redis
        self._replicas = replicas
        self._pipe = Pipe(redis)
        self._waiting: list[_Call] = []
        self._under_way: list[_Call] = []
        self._sender: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, command: Command, asking: bool = False) -> Any:
        """Its answer, or the error, `Overdue` for one; `asking` for a key that is on its way to this server."""
        loop = asyncio.get_running_loop()
        call = _Call(command, asking, loop.time() + ANSWER_SECONDS, loop.create_future())
        self._waiting.append(call)
        if self._sender is None:
            self._sender = loop.create_task(self._send_all())
        if self._timer is None:
            self._timer = loop.call_at(call.due, self._give_up, loop)
        return self._pipe.meaning(command, await call.answer)

    async def aclose(self) -> None:
        """Let what is under way finish, and disconnect."""
        if self._sender is not None:
            await asyncio.wait([self._sender])
        await self._pipe.aclose()
        await self._redis.aclose()

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell whoever has waited long enough, and look again when the next one has.

        A pipeline is given up, and its connection with it, when the last of its callers is overdue.
        """
        calls = [*self._under_way, *self._waiting]
        now = loop.time()
        for call in calls:
            if call.due <= now and not call.answer.done():
                call.answer.set_result(Overdue())
        if self._under_way and self._under_way[-1].due <= now:
            self._pipe.give_up(Overdue())
        due = next((call.due for call in calls if call.due > now), None)
        self._timer = None if due is None else loop.call_at(max(due, now + GLANCE_SECONDS), self._give_up, loop)

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                self._under_way = [call for call in batch if not call.answer.done()]
                await self._send(self._under_way)
        finally:
            self._sender, self._under_way = None, []

    async def _send(self, batch: list[_Call]) -> None:
        try:
            answers = await self._answers(batch) if batch else []
        except FOREIGN as error:
            answers = [error] * len(batch)
        except Exception as fault:
            for call in batch:
                if not call.answer.done():
                    call.answer.set_exception(fault)
            return
        for call, answer in zip(batch, answers, strict=True):
            if not call.answer.done():
                call.answer.set_result(answer)

    async def _answers(self, calls: list[_Call]) -> list[Any]:
        """The answer or error of each call. A restarted Redis has forgotten the scripts: they are loaded again."""
        answers = await self._written(calls)
        forgotten = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if forgotten:
            await self._pipeline([("SCRIPT LOAD", script.source) for script in scripts.ALL])
            again = await self._written([calls[place] for place in forgotten])
            for place, answer in zip(forgotten, again, strict=True):
                answers[place] = answer
        return answers

    async def _written(self, calls: Sequence[_Call]) -> list[Any]:
        """The answers, a write's only if enough replicas have it."""
        commands = [word for call in calls for word in ((ASKING, call.command) if call.asking else (call.command,))]
        written = [call.command for call in calls if call.writes] if self._replicas else []
        if not written:
            return await self._pipeline(commands)
        *answers, marked, reached = await self._pipeline([*commands, *self._wait(written[0])])
        doubt = self._doubt(marked, reached)
        return [
            doubt if doubt and call.writes and not isinstance(answer, RedisError) else answer
            for call, answer in zip(calls, answers, strict=True)
        ]

    def _doubt(self, marked: Any, reached: Any) -> RedisError | None:
        """Why a write is not known to be on enough replicas, if so. A mark may be refused while its slot moves."""
        for answer in (marked, reached):
            if isinstance(answer, RedisError):
                return TryAgainError(f"no mark of this write: {answer}")
        if reached < self._replicas:
            return TooFewReplicas(f"only {reached} of {self._replicas} replicas have this write")
        return None

    def _wait(self, write: Command) -> tuple[Command, Command]:
        mark = b"tg:{%s}:mark" % hash_tag(key_of(write))
        return (
            ("SET", mark, b"", b"EX", b"%d" % MARK_SECONDS),
            ("WAIT", b"%d" % self._replicas, b"%d" % (REPLICA_SECONDS * 1000)),
        )

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to all commands but `ASKING`."""
        try:
            answers = await self._once(commands)
        except (ConnectionLost, OSError):
            answers = await self._once(commands)
        return [answer for command, answer in zip(commands, answers, strict=True) if command is not ASKING]

    async def _once(self, commands: Sequence[Command]) -> list[Any]:
        await self._pipe.connect()
        if all(call.answer.done() for call in self._under_way):
            raise Overdue  # connecting took too long: nobody waits any more
        return await self._pipe.ask(commands)


def key_of(command: Command) -> bytes:
    """The first key that a command of Tollgate's is about, nothing for one without; a script's come after their number.

    All keys of one command are in one slot.
    """
    place = 3 if command[0] == "EVALSHA" else 1
    key = command[place] if len(command) > place else b""
    return key if isinstance(key, bytes) else key.encode()


def hash_tag(key: bytes) -> bytes:
    """The part of a key that decides its slot, as the Redis Cluster specification has it."""
    tag, closed, _ = key.partition(b"{")[2].partition(b"}")
    return tag if closed and tag else key
