"""The way to Redis: each caller gets its own answer or error, quickly, and no error is a foreign one."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import redis.exceptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.core.identity import KeyRecord
from extproc.core.ledger import Account, AccountKind, Hold, HoldResult, Outcome
from extproc.errors import LedgerUnavailable
from extproc.store import lane
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.lane import FOREIGN
from extproc.store.redis_ledger import RedisLedger
from tests.core.samples import caller_of
from tests.store.redis_server import PATIENCE_SECONDS, RedisServer

KEY = KeyRecord("k1", "ada", "sk-", "", "g", digest="digest")
WALLET = Account(AccountKind.WALLET, "ada")


def ask(hold_id: str, amount_nano: int = 1) -> Hold:
    """A hold by the one key."""
    return Hold(hold_id, "ada", "k1", 1, KEY.accounts("2026-11"), amount_nano, 4_000_000_000_000, 4_000_000_000_100)


@asynccontextmanager
async def frozen(server: RedisServer) -> AsyncIterator[None]:
    """Redis takes calls and answers none."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@pytest.fixture
async def durable(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RedisServer, Connection]]:
    """A Redis that keeps what it was told when it is killed."""
    server = RedisServer(tmp_path_factory.mktemp("aof"), durable=True)
    server.start()
    connection = Connection(server.url)
    yield server, connection
    await connection.aclose()
    server.kill()


def foreign_exceptions() -> Iterator[type[Exception]]:
    """Every exception that redis-py defines, and those of the system and of timeouts."""
    for _, found in inspect.getmembers(redis.exceptions, inspect.isclass):
        if issubclass(found, Exception):
            yield found
    yield from (OSError, TimeoutError, asyncio.TimeoutError, ConnectionRefusedError, FileNotFoundError)


@pytest.mark.parametrize("error", [*foreign_exceptions()])
def test_every_foreign_exception_is_mapped(error: type[Exception]) -> None:
    """Whatever redis-py raises, a caller gets `LedgerUnavailable`."""
    assert issubclass(error, FOREIGN)


@pytest.mark.parametrize("url", ["unix:///nowhere/r.sock", "redis://127.0.0.1:1", "rediss://127.0.0.1:1/0"])
async def test_no_redis_is_ledger_unavailable(url: str) -> None:
    """Where nobody listens, every call fails, on each kind of address."""
    connection = Connection(url)
    with pytest.raises(LedgerUnavailable, match="connecting"):
        await RedisLedger(connection).hold(ask("h1"))
    with pytest.raises(LedgerUnavailable, match="connecting"):
        await connection.execute("PING")
    await connection.aclose()


async def test_parallel_calls_share_one_connection(connection: Connection) -> None:
    """However many calls there are, one worker costs Redis one connection."""
    before = (await connection.execute("INFO", "stats"))["total_connections_received"]
    answers = await asyncio.gather(*(connection.execute("ECHO", number) for number in range(500)))
    assert answers == [str(number) for number in range(500)]
    assert (await connection.execute("INFO", "stats"))["total_connections_received"] == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["echo", "refused", "script", "cancelled"]), min_size=1, max_size=12),
    forgetful=st.booleans(),
    ticks=st.integers(0, 4),
)
async def test_results_are_never_mixed(connection: Connection, kinds: list[str], forgetful: bool, ticks: int) -> None:
    """Whatever fails, is cancelled or has to be loaded again, every other caller gets its own answer."""
    await connection.execute("SET", "text", "no hash")
    if forgetful:
        await connection.execute("SCRIPT FLUSH")
    ledger = RedisLedger(connection)

    async def call(place: int, kind: str) -> str:
        if kind == "refused":
            await connection.execute("HGET", "text", "field")
        if kind == "script":
            return str((await ledger.top_up(f"owner{place}", place + 1, "a", 0)).limit_nano - 1)
        return str(await connection.execute("ECHO", place))

    tasks = [asyncio.create_task(call(place, kind)) for place, kind in enumerate(kinds)]
    for _ in range(ticks):
        await asyncio.sleep(0)
    for task, kind in zip(tasks, kinds, strict=True):
        if kind == "cancelled":
            task.cancel()
    for place, (task, kind) in enumerate(zip(tasks, kinds, strict=True)):
        if kind == "refused":
            with pytest.raises(LedgerUnavailable, match="WRONGTYPE"):
                await task
        else:
            with suppress(asyncio.CancelledError):
                assert await task == str(place)
    assert await connection.execute("ECHO", "after") == "after"


async def test_a_call_given_up_before_it_was_sent_is_not_made(connection: Connection) -> None:
    """A caller that is gone before the pipeline leaves costs nothing and changes nothing."""
    await connection.execute("PING")
    gone = asyncio.create_task(connection.execute("SET", "text", "sent"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await connection.execute("GET", "text") is None


async def test_a_call_given_up_while_connecting_is_not_made(
    connection: Connection, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller was told that nobody answered; the connection, once it is there, is for those who still wait."""
    async with frozen(server):
        with monkeypatch.context() as impatient:
            impatient.setattr(lane, "ANSWER_SECONDS", 0.05)
            with pytest.raises(LedgerUnavailable, match="did not answer"):
                await connection.execute("SET", "text", "sent")
    assert await connection.execute("GET", "text") is None


async def test_what_is_no_text_fails_for_its_caller_alone(connection: Connection) -> None:
    """An argument that cannot be sent does not take the pipeline of the others with it."""
    good = asyncio.create_task(connection.execute("ECHO", "good"))
    with pytest.raises(UnicodeEncodeError):
        await connection.execute("ECHO", "\ud800")
    assert await good == "good"


async def test_a_balance_admits_exactly_what_it_covers(connection: Connection, server: RedisServer) -> None:
    """Of 200 holds at once, from four workers, a balance for 37 admits 37."""
    await RedisKeyring(connection).create(KEY, "digest")
    await RedisLedger(connection).top_up("ada", 37 * 10 + 9, "a", 0)
    workers = [Connection(server.url) for _ in range(4)]
    ledgers = [RedisLedger(worker) for worker in workers]
    results = await asyncio.gather(*(ledgers[n % 4].hold(ask(f"h{n}", amount_nano=10)) for n in range(200)))
    assert sorted(result.outcome for result in results) == [Outcome.HELD] * 37 + [Outcome.WALLET] * 163
    assert {r.available_nano for r in results if r.outcome is Outcome.WALLET} == {9}
    for worker in workers:
        await worker.aclose()


async def test_a_redis_that_hangs_fails_calls_and_the_connection_recovers(
    connection: Connection, server: RedisServer
) -> None:
    """Calls give up by themselves while Redis hangs; once it goes on, repeating them is safe."""
    await RedisKeyring(connection).create(KEY, "digest")
    ledger = RedisLedger(connection)
    await ledger.top_up("ada", 100, "a", 0)
    async with frozen(server):
        gone = await asyncio.gather(*(ledger.hold(ask(f"h{n}")) for n in range(5)), return_exceptions=True)
    assert [repr(error) for error in gone] == ["LedgerUnavailable('Redis did not answer within 2.0 s')"] * 5
    async with asyncio.timeout(30):
        while isinstance((await asyncio.gather(ledger.hold(ask("h0")), return_exceptions=True))[0], Exception):
            pass
    for n in range(5):
        assert (await ledger.hold(ask(f"h{n}"))).outcome in (Outcome.HELD, Outcome.EXISTS)
    assert (await ledger.balance("ada", WALLET)).held_nano == 5


@pytest.mark.parametrize("goes_on", [True, False])
async def test_one_who_gives_up_takes_nothing_from_the_others(
    connection: Connection, server: RedisServer, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """Of two calls in one pipeline one has less time left: the other is answered if Redis goes on, else told later."""

    async def call(seconds: float) -> Any:
        monkeypatch.setattr(lane, "ANSWER_SECONDS", seconds)
        return await connection.execute("ECHO", "answer")

    await connection.execute("PING")
    async with frozen(server), asyncio.timeout(PATIENCE_SECONDS):
        impatient = asyncio.create_task(call(0.05))
        patient = asyncio.create_task(call(PATIENCE_SECONDS if goes_on else 0.2))
        with pytest.raises(LedgerUnavailable, match="did not answer"):
            await impatient
        if not goes_on:
            with pytest.raises(LedgerUnavailable, match="did not answer"):
                await patient
    assert not goes_on or await patient == "answer"


async def test_balances_outlive_a_killed_redis(durable: tuple[RedisServer, Connection]) -> None:
    """While Redis is away every verb says so; when it is back nothing is lost and the scripts are there again."""
    server, connection = durable
    ledger, keyring = RedisLedger(connection), RedisKeyring(connection)
    await keyring.create(KEY, "digest")
    await ledger.top_up("ada", 100, "a", 0)
    await ledger.hold(ask("h1", amount_nano=30))
    before = await ledger.balance("ada", WALLET)
    server.kill()
    for call in (
        ledger.hold(ask("h2")),
        ledger.expire_due(0, 0, 10),
        ledger.top_up("ada", 1, "b", 0),
        ledger.balance("ada", WALLET),
        keyring.find_fresh("digest"),
    ):
        with pytest.raises(LedgerUnavailable):
            await call
    server.start()
    assert await ledger.hold(ask("h2", amount_nano=70)) == HoldResult(Outcome.HELD)
    assert await ledger.hold(ask("h1", amount_nano=30)) == HoldResult(Outcome.EXISTS)
    assert before.held_nano == 30
    assert (await ledger.balance("ada", WALLET)).held_nano == 100
    assert await keyring.find_fresh("digest") == caller_of(KEY)


async def test_a_restart_between_two_calls_goes_unnoticed(durable: tuple[RedisServer, Connection]) -> None:
    """The first call after a restart finds its connection dead and the scripts gone, and succeeds all the same."""
    server, connection = durable
    assert (await RedisLedger(connection).top_up("ada", 5, "a", 0)).limit_nano == 5
    server.kill()
    server.start()
    assert (await RedisLedger(connection).top_up("ada", 5, "b", 0)).limit_nano == 10


@pytest.mark.parametrize("begun", [False, True])
async def test_an_answer_that_a_dying_server_owes_is_its_successors(
    durable: tuple[RedisServer, Connection], begun: bool
) -> None:
    """It had taken the call, and told nothing or half of it: the call is made again, and the caller notices nothing."""
    server, connection = durable
    await connection.execute("SET", "text", "x" * 8_000_000)
    (way,) = await connection._primaries()
    if not begun:
        server.freeze()
    call = asyncio.create_task(connection.execute("GET", "text"))
    while not (way._pipe._parser.has_data() if begun else way._under_way):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    server.kill()
    server.start()
    assert await call == "x" * 8_000_000
