"""One request is found by its id alone, from its hold to its refund."""

import msgspec
import pytest

from extproc.core.identity import KeyRecord
from extproc.core.ledger import End, Hold, State, bucket_of
from extproc.dialects import routes
from extproc.store import keys, trace
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from tests.core.samples import KEY, quote
from tests.store.records import record

QUOTE = quote(routes.CHAT, False)
NOW_MS = 4_000_000_000_000
DUE_MS = NOW_MS + 100
RECORD = record("id-1", KEY.owner, QUOTE.accounts, State.REPORTED, 12)


@pytest.fixture
async def ledger(connection: Connection) -> RedisLedger:
    """A ledger in which `id-1` is held, and so is another."""
    ledger = RedisLedger(connection)
    await RedisKeyring(connection).create(KEY, "digest")
    await RedisKeyring(connection).create(KeyRecord("other", "somebody", "sk-", "", "g"), "another")
    await ledger.top_up(KEY.owner, 100, "paid", NOW_MS)
    for hold_id in ("id-1", "id-2"):
        text = msgspec.json.encode(QUOTE).decode()
        await ledger.hold(Hold(hold_id, KEY.owner, KEY.key_id, 1, QUOTE.accounts, 40, NOW_MS, DUE_MS, text))
    return ledger


def told(state: State, cost_nano: int, said: str = "") -> End:
    """A report about `id-1`."""
    return End("id-1", KEY.owner, QUOTE.accounts, state, cost_nano, NOW_MS, DUE_MS, "test", said)


async def test_a_live_hold_shows_its_quote(connection: Connection, ledger: RedisLedger) -> None:
    """Nobody has reported anything: the terms, the accounts, the amount and the deadline are there."""
    found = await trace.find(connection, "id-1")
    assert found == trace.Trace("id-1", KEY.owner, State.HELD, QUOTE, QUOTE.accounts, 40, DUE_MS, [], [])
    assert found.record is None
    assert (await ledger.balance(KEY.owner, QUOTE.accounts[-1])).held_nano == 80


async def test_an_ended_request_shows_every_report(connection: Connection, ledger: RedisLedger) -> None:
    """In the order in which they changed something, with the last record, and what was refunded for it."""
    await ledger.end(told(State.RELEASED, 0))
    await ledger.end(told(State.REPORTED, 12, RECORD))
    await ledger.refund(KEY.owner, 12, "our fault", "r", NOW_MS, "id-1")
    await ledger.refund(KEY.owner, 1, "another", "s", NOW_MS, "id-2")

    found = await trace.find(connection, "id-1")

    assert found is not None
    assert (found.state, found.held_nano, found.quote, found.accounts) == (State.REPORTED, 0, None, ())
    assert [(entry.state, entry.cost_nano) for entry in found.entries] == [(State.RELEASED, 0), (State.REPORTED, 12)]
    assert found.record == trace.read_record(RECORD)
    assert [refund.reference for refund in found.refunds] == ["r"]


async def test_a_forgotten_request_is_found_by_its_owner(connection: Connection, ledger: RedisLedger) -> None:
    """The log remembers what Redis has forgotten; the id alone finds nothing then."""
    await ledger.end(told(State.REPORTED, 12, RECORD))
    await connection.execute("DEL", keys.hold(bucket_of(KEY.owner), "id-1"))

    assert await trace.find(connection, "id-1") is None
    found = await trace.find(connection, "id-1", KEY.owner)

    assert found is not None
    assert (found.state, found.deadline_ms, found.record) == (State.REPORTED, None, trace.read_record(RECORD))


async def test_an_expired_hold_left_only_its_quote(connection: Connection, ledger: RedisLedger) -> None:
    """The sweeper knows no answer: there is an entry, and no record of an end."""
    buckets = range(1024)
    assert sum([len(await ledger.expire_due(bucket, DUE_MS, 10)) for bucket in buckets]) == 2
    found = await trace.find(connection, "id-1")
    assert found is not None
    assert (found.state, found.entries[0].reporter, found.record) == (State.EXPIRED, "sweeper", None)


async def test_an_unknown_request_is_not_found(connection: Connection) -> None:
    """Neither alone nor with an owner."""
    assert await trace.find(connection, "id-1") is None
    assert await trace.find(connection, "id-1", "ada") is None
