"""Which server a command is for is told by its key. Nobody waits for ever, whatever happens to a lane."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from extproc.store.connection import Connection
from extproc.store.lane import Lane, hash_tag, key_of
from tests.store.redis_server import PATIENCE_SECONDS


@given(st.text("ab{}", max_size=8))
def test_what_decides_a_slot_is_found(text: str) -> None:
    """A key with this tag, or with the whole key for one, is in the slot of the key; redis-py says so too."""
    key = text.encode()
    if b"}" not in hash_tag(key):
        assert key_slot(b"{%s}" % hash_tag(key) if hash_tag(key) else b"") == key_slot(key)


def test_the_key_of_a_command_is_found() -> None:
    """A script's keys come after their number, those of any other command first; some have none."""
    assert key_of(("EVALSHA", b"sha", b"2", b"k1", b"k2", b"arg")) == b"k1"
    assert key_of(("HSET", b"k", b"field", b"value")) == b"k"
    assert key_of(("PING",)) == b""


async def test_a_fault_of_ours_is_seen_by_all_whom_it_hits(connection: Connection) -> None:
    """What cannot be sent, and should have been refused before, leaves nobody waiting; the next call is answered."""
    (lane,) = await connection._primaries()
    assert isinstance(lane, Lane)
    calls = (lane.ask(("ECHO", b"good")), lane.ask(("ECHO", None)))  # type: ignore[arg-type]
    async with asyncio.timeout(PATIENCE_SECONDS):
        told = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in told] == [TypeError, TypeError]
    assert await connection.execute("ECHO", "good") == "good"
