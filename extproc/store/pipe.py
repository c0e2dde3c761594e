"""The socket of a lane: commands go out in one write, and as many answers come back.

redis-py opens it, for it knows TLS, passwords and Sentinels. What is then written and read is not left to redis-py: its
pipeline takes about three times the CPU, as it packs in Python, makes a task and a timeout for each write, a timeout
for each answer, and asks its pool and its telemetry before and after. Here hiredis packs, and parses what has arrived.
"""

from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, DefaultParser
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import InvalidResponse, ReadOnlyError, RedisError

Command = tuple[str | bytes, ...]

READ_BYTES = 1 << 16
NOTHING = object()

GONE = (ConnectionLost, ReadOnlyError)
"""Answers of a server that starts or is full, or that has become a replica: another connection may do better."""


class Pipe:
    """One connection, opened by the pool of a client; used by one caller at a time."""

    def __init__(self, redis: Redis) -> None:
        self._socket: AbstractConnection = redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        self._presented = dict(redis.response_callbacks)
        self._stream = self._socket._reader
        self._parser = _parser()

    async def connect(self) -> None:
        """If need be: also anew, when the server has hung up, or has said what nobody asked for."""
        if self._stream is not None and (self._stream.exception() or await self._socket.can_read()):
            self._stream = None
        if self._stream is None:
            await self._disconnect()
            await self._socket.connect()  # type: ignore[no-untyped-call]
            self._stream, self._parser = self._socket._reader, _parser()

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answer or error of each. Raises `ConnectionLost` and others, and then disconnects: more may come."""
        try:
            return await self._exchange(b"".join(map(_packed, commands)), len(commands))
        except BaseException:
            await self._disconnect()
            raise

    def meaning(self, command: Command, answer: Any) -> Any:
        """An answer as redis-py presents it, such as a dict for `INFO`."""
        present = self._presented.get(command[0])
        return answer if present is None or isinstance(answer, RedisError) else present(answer)

    def give_up(self, why: RedisError) -> None:
        """Let whoever waits for answers have this error."""
        if self._stream is not None:
            self._stream.set_exception(why)

    async def aclose(self) -> None:
        """Disconnect."""
        self._stream = None
        await self._socket.disconnect()

    async def _exchange(self, packed: bytes, number: int) -> list[Any]:
        stream, writer = self._stream, self._socket._writer
        if stream is None or writer is None:
            raise ConnectionLost("not connected")
        writer.write(packed)  # not waited for: there is no more to write before the answers
        answers: list[Any] = []
        while len(answers) < number:
            received = await stream.read(READ_BYTES)
            if not received:
                raise ConnectionLost("Connection closed by server.")
            self._parser.feed(received)
            answers += iter(self._parser.gets, NOTHING)
        if len(answers) > number or self._parser.has_data():
            raise InvalidResponse("more answers than commands")
        if gone := next((answer for answer in answers if isinstance(answer, GONE)), None):
            raise ConnectionLost(str(gone)) from gone
        return answers

    async def _disconnect(self) -> None:
        self._stream = None
        await self._socket.disconnect(nowait=True)


def _parser() -> hiredis.Reader:
    """Nobody's answer is lost for another's that is no UTF-8."""
    return hiredis.Reader(InvalidResponse, DefaultParser.parse_error, "utf-8", "surrogateescape", NOTHING)


def _packed(command: Command) -> bytes:
    """As it is sent, the words of a name such as `SCRIPT LOAD` one by one."""
    name, *arguments = command
    return cast("bytes", hiredis.pack_command((*name.split(), *arguments)))
