"""What goes through the socket of a lane is what redis-py would send and tell; no fault of it mixes anything up."""

import asyncio

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import Connection as Socket

from extproc.errors import LedgerUnavailable
from extproc.store import lane
from extproc.store.connection import Connection
from extproc.store.pipe import _packed
from tests.store.redis_server import PATIENCE_SECONDS, RedisServer

COMMANDS = (
    *(("PING",), ("SET", "text", "ä"), ("SET", "text", "b", "NX"), ("GET", "text"), ("GET", "nothing"), ("INCR", "n")),
    *(("HSET", "hash", "a", 1, "b", ""), ("HGETALL", "hash"), ("HGETALL", "nothing"), ("HMGET", "hash", "a", "c")),
    *(("SADD", "set", "a", "b"), ("SMEMBERS", "set"), ("ZADD", "zset", 1, "a", 2, "b"), ("ZCARD", "zset")),
    *(("ZRANGE", "zset", 0, -1), ("ZRANGE", "zset", 0, 0, "WITHSCORES"), ("XADD", "log", "1-1", "field", "value")),
    *(("XRANGE", "log", "-", "+", "COUNT", 1), ("CONFIG", "GET", "appendonly"), ("EVAL", "return {1, {'a'}}", 0)),
)


@given(st.sampled_from(["GET", "SCRIPT LOAD", "A B C"]), st.lists(st.binary() | st.text(max_size=9)))
def test_commands_are_packed_as_redis_py_packs_them(name: str, arguments: list[bytes | str]) -> None:
    """To the byte, also where a name has several words."""
    assert _packed((name, *arguments)) == b"".join(Socket().pack_command(name, *arguments))


async def test_answers_are_those_of_redis_py(connection: Connection, server: RedisServer) -> None:
    """Of every kind that Tollgate asks for, text as text."""
    ours = [await connection.execute(*command) for command in COMMANDS]
    server.flush()
    assert ours == [server.ask(*command) for command in COMMANDS]
    assert (await connection.execute("INFO", "server")).keys() == server.ask("INFO", "server").keys()


async def test_what_is_no_text_does_no_harm(connection: Connection, server: RedisServer) -> None:
    """Somebody wrote bytes there: who reads them sees that, and the others of that moment see nothing of it."""
    with redis.Redis.from_url(server.url) as client:
        client.set("bytes", b"\xff")
    read = await asyncio.gather(connection.execute("GET", "bytes"), connection.execute("ECHO", "good"))
    assert [*read] == ["\udcff", "good"]


async def test_one_answer_too_many_is_given_to_nobody(connection: Connection) -> None:
    """Which answer is whose is then unknown: all are refused, and the next ones have a connection of their own."""
    await connection.execute("PING")
    calls = [
        connection.execute("ECHO", "a"),
        connection.execute("SUBSCRIBE", "x", "y"),
        connection.execute("ECHO", "b"),
    ]
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert [repr(error) for error in told] == ["LedgerUnavailable('Redis: more answers than commands')"] * 3
    await assert_nothing_is_mixed_up(connection)


async def test_what_nobody_asked_for_is_given_to_nobody(connection: Connection, server: RedisServer) -> None:
    """It came while nobody waited: the next call is made on another connection."""
    await connection.execute("SUBSCRIBE", "news")
    before = server.ask("INFO", "stats")["total_connections_received"]
    server.ask("PUBLISH", "news", "hot")
    await assert_nothing_is_mixed_up(connection)
    assert server.ask("INFO", "stats")["total_connections_received"] - before >= 2


async def test_one_answer_too_few_is_waited_for_in_vain(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are told when their time is over, and the next ones have a connection of their own."""
    await connection.execute("PING")
    with monkeypatch.context() as impatient:
        impatient.setattr(lane, "ANSWER_SECONDS", 0.1)
        silent = ("ECHO", "a"), ("CLIENT", "REPLY", "SKIP"), ("ECHO", "lost"), ("ECHO", "b")
        async with asyncio.timeout(PATIENCE_SECONDS):
            told = await asyncio.gather(*(connection.execute(*call) for call in silent), return_exceptions=True)
    assert [repr(error) for error in told] == ["LedgerUnavailable('Redis did not answer within 0.1 s')"] * 4
    await assert_nothing_is_mixed_up(connection)


async def test_a_primary_that_is_none_any_more_is_looked_for(connection: Connection, server: RedisServer) -> None:
    """A write that is refused because of that is tried on another connection, which may lead to the new primary."""
    await connection.execute("PING")
    server.ask("REPLICAOF", "127.0.0.1", 1)
    try:
        before = server.ask("INFO", "stats")["total_connections_received"]
        with pytest.raises(LedgerUnavailable, match="read only replica"):
            await connection.execute("SET", "text", "a")
        assert server.ask("INFO", "stats")["total_connections_received"] - before == 2
    finally:
        server.ask("REPLICAOF", "NO", "ONE")
    assert await connection.execute("SET", "text", "a")


async def test_every_connection_says_who_it_is(connection: Connection, server: RedisServer) -> None:
    """And which database it wants, also after it was lost."""
    await connection.execute("ACL", "SETUSER", "ann", "on", ">p/w", "~*", "+@all")
    ann = Connection(server.url.replace("unix://", "unix://ann:p%2Fw@") + "?db=3")
    try:
        for _ in range(2):
            assert await ann.execute("ACL", "WHOAMI") == "ann"
            assert "db=3" in await ann.execute("CLIENT", "LIST", "ID", await ann.execute("CLIENT", "ID"))
            server.ask("CLIENT", "KILL", "TYPE", "normal")
    finally:
        await ann.aclose()
        await connection.execute("ACL", "DELUSER", "ann")


async def assert_nothing_is_mixed_up(connection: Connection) -> None:
    """Each caller gets its own answer."""
    answers = await asyncio.gather(*(connection.execute("ECHO", number) for number in range(20)))
    assert answers == [str(number) for number in range(20)]
