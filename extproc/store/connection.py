"""The one way to Redis: calls of one event loop tick share a pipeline, and no foreign exception gets out.

    a caller → waits → the next pipeline → its own answer, or `LedgerUnavailable`

One pipeline is under way at a time, and what is called meanwhile goes into the next: the busier it gets, the fewer
round trips a call costs. A caller that gives up takes nothing from the others: only its own future is cancelled.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ChildDeadlockedError, IncorrectPolicyType, NoScriptError, RedisClusterException, RedisError
from redis.exceptions import ConnectionError as ConnectionLost

from extproc.errors import ConfigError, LedgerUnavailable
from extproc.store import scripts

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 2.0
"""The most that any call takes, waiting included; whether it took effect is then unknown."""

FOREIGN = (RedisError, RedisClusterException, ChildDeadlockedError, IncorrectPolicyType, OSError)
"""All that redis-py raises; what the system and a timeout raise is an `OSError`."""

Command = tuple[str | bytes, ...]


@dataclass(slots=True)
class _Call:
    command: Command
    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Connection:
    """A client of one Redis: `redis://`, `rediss://` (TLS) or `unix://`. Connects when first used, and again when lost.

    Raises `ConfigError` for any other URL. A lost connection is tried once more at once, which is safe because every
    verb may be repeated.
    """

    def __init__(self, url: str) -> None:
        try:
            self._redis = Redis.from_url(
                url,
                decode_responses=True,
                protocol=2,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 1, (ConnectionLost,)),
            )
        except ValueError as error:
            without_password = url.rpartition("@")[2]
            raise ConfigError(f"{without_password!r} is no URL of a Redis: {error}") from None
        self._waiting: list[_Call] = []
        self._sender: asyncio.Task[None] | None = None

    async def script(self, script: scripts.Script, keys: list[str], args: Iterable[str | int]) -> Any:
        """Run a script. Raises `LedgerUnavailable`."""
        return await self.execute("EVALSHA", script.sha, len(keys), *keys, *args)

    async def execute(self, command: str, *args: str | int) -> Any:
        """Run one command. Raises `LedgerUnavailable`, and `ValueError` for what is no text, to this caller alone."""
        call = _Call((command, *(str(arg).encode() for arg in args)))
        self._waiting.append(call)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await call.answer
        except TimeoutError:
            raise LedgerUnavailable(f"Redis did not answer within {ANSWER_SECONDS} s") from None
        if isinstance(answer, FOREIGN):
            raise LedgerUnavailable(f"Redis: {answer}") from answer
        return answer

    async def aclose(self) -> None:
        """Let what is under way finish, and disconnect."""
        if self._sender is not None:
            await asyncio.wait([self._sender])
        await self._redis.aclose()

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._send([call for call in batch if not call.answer.done()])
        finally:
            self._sender = None

    async def _send(self, batch: list[_Call]) -> None:
        try:
            answers = await self._answers([call.command for call in batch])
        except FOREIGN as error:
            answers = [error] * len(batch)
        for call, answer in zip(batch, answers, strict=True):
            if not call.answer.done():
                call.answer.set_result(answer)

    async def _answers(self, commands: list[Command]) -> list[Any]:
        """The answer or error of each command. A restarted Redis has forgotten the scripts: they are loaded again."""
        answers = await self._pipeline(commands)
        forgotten = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if forgotten:
            load: list[Command] = [("SCRIPT LOAD", script.source) for script in scripts.ALL]
            again = await self._pipeline([*load, *(commands[place] for place in forgotten)])
            for place, answer in zip(forgotten, again[len(load) :], strict=True):
                answers[place] = answer
        return answers

    async def _pipeline(self, commands: list[Command]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)
