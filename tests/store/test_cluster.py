"""A Redis Cluster whose slots move and whose servers die: what was answered is in the books, and nothing else is lost.

The ledger's own tests run on a cluster too (`conftest.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from extproc.core.ledger import Account, AccountKind, Balance, EntryResult, HoldResult, Outcome, bucket_of
from extproc.errors import LedgerUnavailable
from extproc.store import keys
from extproc.store.audit import read_bucket
from extproc.store.connection import Connection
from extproc.store.durability import shortcomings
from extproc.store.redis_ledger import RedisLedger
from tests.store.cluster import PATIENCE_SECONDS, PRIMARIES, Cluster, Migration, free_ports, owner, wait_until
from tests.store.redis_server import RedisServer
from tests.store.traffic import COST_NANO, DUE_MS, NOW_MS, Traffic, answered

NAMES = count()
GLANCE_SECONDS = 0.03
"""How long a call is waited for that a migration may hold up; it is repeated afterwards."""


def new_owner(server: int) -> str:
    """Somebody nobody has heard of, whose bucket is on this server at the start."""
    names = (f"owner{number}" for number in NAMES)
    return next(name for name in names if owner(key_slot(keys.due(bucket_of(name)).encode())) == server)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three primaries and no replica."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three primaries with a replica each. A test that harms a server has one of its own."""
    cluster = Cluster(tmp_path_factory.mktemp("replicated"), replicas=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture
async def redis(cluster: Cluster) -> AsyncIterator[Connection]:
    """A connection to the cluster without replicas."""
    connection = Connection(cluster.url)
    yield connection
    await connection.aclose()


async def test_parallel_calls_share_one_connection_to_each_server(redis: Connection) -> None:
    """However many calls there are, one worker costs each server one connection."""
    await redis.execute_everywhere("PING")
    before = await redis.execute_everywhere("INFO", "stats")
    answers = await asyncio.gather(*(redis.execute("ECHO", number) for number in range(500)))
    assert answers == [str(number) for number in range(500)]
    after = await redis.execute_everywhere("INFO", "stats")
    assert len(after) == PRIMARIES
    for server, stats in after.items():
        assert stats["total_connections_received"] == before[server]["total_connections_received"]


async def test_a_server_that_hangs_delays_nobody_else(cluster: Cluster, redis: Connection) -> None:
    """Calls to the others, made at the same moment, are answered; only its own are not."""
    ledger = RedisLedger(redis)
    wallets = [(name, Account(AccountKind.WALLET, name)) for name in map(new_owner, range(PRIMARIES))]
    for name, _ in wallets:
        await ledger.top_up(name, 7, "paid", NOW_MS)
    cluster.servers[0].freeze()
    try:
        hanging, *others = [asyncio.create_task(ledger.balance(*wallet)) for wallet in wallets]
        assert [balance.limit_nano for balance in await asyncio.gather(*others)] == [7, 7]
        assert not hanging.done()
        with pytest.raises(LedgerUnavailable, match="did not answer"):
            await hanging
    finally:
        cluster.servers[0].thaw()
    assert await answered(lambda: ledger.balance(*wallets[0])) == Balance(7)


async def test_requests_go_on_while_their_slot_moves(cluster: Cluster, redis: Connection) -> None:
    """Key by key, its holds, its log and its money move to another server under the requests that use them."""
    traffic = Traffic(redis, new_owner(0))
    await traffic.open()
    async with traffic.flowing():
        await traffic.more()
        migration = Migration(cluster, keys.due(bucket_of(traffic.key.owner)))
        await asyncio.to_thread(migration.begin)
        for key in await asyncio.to_thread(migration.left):
            await asyncio.to_thread(migration.move, key)
        await asyncio.to_thread(migration.end)
        await traffic.more()
    await traffic.check_answers()
    await traffic.check_sums()


KINDS_OF_KEYS = (
    *("due", "usage", "hold:settled", "hold:overdue", "hold:live", "key:", "keys:", "entries:", "references:"),
    "changes",
    *("account:key:", "account:key_month:", "account:wallet:"),
)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", KINDS_OF_KEYS)
async def test_no_verb_is_done_in_part_while_its_keys_are_apart(
    redis: Connection, cluster: Cluster, kind: str, first: bool
) -> None:
    """While one kind of keys has moved, or is the last to move, a verb is done wholly, or not at all and then later.

    A script reaches keys by names that are stored, of which the cluster knows nothing when it lets the script begin.
    """
    traffic = Traffic(redis, new_owner(KINDS_OF_KEYS.index(kind) % PRIMARIES))
    await traffic.open()
    for hold_id, deadline_ms in (("first", DUE_MS), ("settled", DUE_MS), ("overdue", NOW_MS), ("live", DUE_MS)):
        await traffic.ledger.hold(traffic.ask(hold_id, deadline_ms))
    await traffic.ledger.end(traffic.told("first"))
    migration = Migration(cluster, keys.due(bucket_of(traffic.key.owner)))
    migration.begin()
    of_the_kind = [key for key in migration.left() if key.partition("}:")[2].startswith(kind)]
    assert of_the_kind
    migration.move(*(of_the_kind if first else set(migration.left()) - {*of_the_kind}))
    await at_a_glance(every_verb(traffic))
    migration.end()
    await asyncio.gather(*every_verb(traffic))
    tally, found = await read_bucket(redis, bucket_of(traffic.key.owner), [traffic.key.owner])
    assert tally.differences(found) == []
    assert sorted(hold.hold_id for hold in found.holds) == ["live", "new"]
    assert found.live == {traffic.key.key_id: 2}
    wallet = found.balances[Account(AccountKind.WALLET, traffic.key.owner)]
    assert wallet == Balance(limit_nano=1_000_010, held_nano=10, used_nano=2 * COST_NANO)


HELD_UP: dict[str, Callable[[Traffic], Coroutine[Any, Any, object]]] = {
    "whose keys are apart": lambda traffic: traffic.ledger.hold(traffic.ask("new")),
    "which finds its keys apart": lambda traffic: traffic.ledger.expire_due(bucket_of(traffic.key.owner), NOW_MS, 10),
}


@pytest.mark.parametrize("what", HELD_UP)
async def test_a_call_waits_until_its_keys_are_together(redis: Connection, cluster: Cluster, what: str) -> None:
    """Its caller notices nothing of a migration that is done soon."""
    traffic = Traffic(redis, new_owner(0))
    await traffic.open()
    await traffic.ledger.hold(traffic.ask("overdue", NOW_MS))
    await traffic.ledger.end(traffic.told("first"))
    migration = Migration(cluster, keys.due(bucket_of(traffic.key.owner)))
    migration.begin()
    migration.move(keys.key(bucket_of(traffic.key.owner), traffic.key.key_id))
    call = asyncio.create_task(HELD_UP[what](traffic))
    await asyncio.wait([call], timeout=GLANCE_SECONDS)
    assert not call.done()
    migration.end()
    assert await call in (HoldResult(Outcome.HELD), ["overdue"])


async def test_a_call_whose_keys_stay_apart_is_given_up(
    redis: Connection, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it was made, its caller waits no longer than for any other."""
    traffic = Traffic(redis, new_owner(0))
    await traffic.open()
    migration = Migration(cluster, keys.due(bucket_of(traffic.key.owner)))
    migration.begin()
    migration.move(keys.key(bucket_of(traffic.key.owner), traffic.key.key_id))
    monkeypatch.setattr("extproc.store.cluster.ANSWER_SECONDS", GLANCE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(LedgerUnavailable, match="did not answer"):
            await traffic.ledger.hold(traffic.ask("new"))
    migration.end()


async def test_what_has_moved_is_used_where_it_is(redis: Connection, cluster: Cluster) -> None:
    """Before its slot has moved too; and once that has, each server is asked by mistake no more than once."""
    traffic = Traffic(redis, new_owner(0))
    await traffic.open()
    await traffic.ledger.hold(traffic.ask("h1"))
    await traffic.ledger.end(traffic.told("h0"))
    migration = Migration(cluster, keys.due(bucket_of(traffic.key.owner)))
    migration.begin()
    migration.move(*migration.left())
    assert (await traffic.ledger.end(traffic.told("h1"))).outcome is Outcome.ENDED
    migration.end()
    await traffic.ledger.end(traffic.told("h1"))
    before = redirections(cluster)
    for _ in range(3):
        assert (await traffic.ledger.end(traffic.told("h1"))).outcome is Outcome.UNCHANGED
    assert redirections(cluster) == before


def redirections(cluster: Cluster) -> list[Any]:
    """What each server counts of them."""
    return [server.ask("INFO", "errorstats").get("errorstat_MOVED") for server in cluster.servers]


def every_verb(traffic: Traffic) -> list[Coroutine[Any, Any, object]]:
    """One call of each, always the same."""
    bucket = bucket_of(traffic.key.owner)
    return [
        traffic.ledger.end(traffic.told("settled")),
        traffic.ledger.expire_due(bucket, NOW_MS, 10),
        traffic.ledger.hold(traffic.ask("new")),
        traffic.ledger.top_up(traffic.key.owner, 10, "more", NOW_MS),
    ]


async def at_a_glance(calls: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Make these calls, and give up those that a migration holds up."""
    tasks = [asyncio.create_task(call) for call in calls]
    _, held_up = await asyncio.wait(tasks, timeout=GLANCE_SECONDS)
    for task in held_up:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_write_that_no_replica_has_does_not_count(replicated: Cluster) -> None:
    """Neither at first nor when it is repeated, by whomever; what only reads is answered."""
    name, replica = new_owner(2), replicated.servers[2 + PRIMARIES]
    wallet = Account(AccountKind.WALLET, name)
    async with aclosing(waiting(replicated)) as redis, aclosing(waiting(replicated)) as other:
        await RedisLedger(redis).top_up(name, 7, "paid", NOW_MS)
        replica.freeze()
        try:
            for connection in (redis, redis, other):
                with pytest.raises(LedgerUnavailable, match="only 0 of 1 replicas"):
                    await RedisLedger(connection).top_up(name, 5, "more", NOW_MS)
            assert (await RedisLedger(other).balance(name, wallet)).limit_nano == 12
        finally:
            replica.thaw()
        again = await answered(lambda: RedisLedger(redis).top_up(name, 5, "more", NOW_MS))
        assert again == EntryResult(Outcome.REPEATED, 12)


async def test_a_repetition_gives_the_replicas_something_to_have(replicated: Cluster) -> None:
    """A verb that changes nothing still writes, for newer versions of Redis wait only for what a connection wrote."""
    name, primary = new_owner(2), replicated.servers[2]
    mark = f"tg:{{b{bucket_of(name)}}}:mark"
    async with aclosing(waiting(replicated)) as redis:
        await RedisLedger(redis).top_up(name, 7, "paid", NOW_MS)
        assert primary.ask("DEL", mark) == 1
        assert (await RedisLedger(redis).top_up(name, 7, "paid", NOW_MS)).outcome is Outcome.REPEATED
        assert primary.ask("EXISTS", mark) == 1


async def test_what_was_answered_survives_the_death_of_a_primary(replicated: Cluster) -> None:
    """It is killed in the middle of requests that wait for a replica; that replica goes on with all that counted.

    The dead one comes back as a replica of the other: until then nothing has two copies, and is refused.
    """
    primary, replica = replicated.servers[0], replicated.servers[PRIMARIES]
    async with aclosing(waiting(replicated)) as redis, aclosing(Connection(replicated.url)) as reading:
        await reading.execute_everywhere("PING")
        traffic = Traffic(redis, new_owner(0))
        await traffic.open()
        async with traffic.flowing():
            await traffic.more()
            primary.kill()
            await asyncio.to_thread(wait_until, lambda: replica.ask("ROLE")[0] == "master")
            assert await answered(lambda: reading.execute("EXISTS", keys.due(bucket_of(traffic.key.owner)))) == 1
            await asyncio.to_thread(primary.start)
            await traffic.more()
        await traffic.check_answers()
        await traffic.check_sums()


async def test_a_primary_that_hangs_is_replaced(replicated: Cluster) -> None:
    """Its calls go unanswered until the cluster gives its slots to its replica; then the next ones are.

    No replica was waited for: what was answered last may be lost, and the sums are right all the same.
    """
    primary = replicated.servers[1]
    async with aclosing(Connection(replicated.url)) as redis:
        traffic = Traffic(redis, new_owner(1))
        await traffic.open()
        primary.freeze()
        try:
            async with traffic.flowing():
                await traffic.more()
        finally:
            primary.thaw()
        await traffic.check_sums()


async def test_every_primary_is_judged_by_name(replicated: Cluster) -> None:
    """Each that may lose something is named."""
    async with aclosing(Connection(replicated.url)) as redis:
        said = await shortcomings(redis)
        names = [f"Redis at 127.0.0.1:{port}" for port in sorted(await ports_of_primaries(redis))]
    assert [sentence.partition(" keeps no")[0] for sentence in said if "append-only" in sentence] == names


async def ports_of_primaries(redis: Connection) -> list[int]:
    """Where they listen."""
    return [int(name.rpartition(":")[2]) for name in await redis.execute_everywhere("PING")]


async def test_one_server_of_a_cluster_is_not_enough(cluster: Cluster) -> None:
    """Whoever names a server instead of its cluster is told so."""
    async with aclosing(Connection(cluster.servers[0].url)) as redis:
        assert "redis+cluster://" in (await shortcomings(redis))[-1]


async def test_a_cluster_that_is_none(tmp_path: Path) -> None:
    """Whoever names a single server as a cluster is told so; and whoever names one that is not there."""
    (port,) = free_ports(1)
    server = RedisServer(tmp_path, port=port)
    url = f"redis+cluster://127.0.0.1:{port}"
    async with aclosing(Connection(url)) as redis:
        with pytest.raises(LedgerUnavailable, match="connecting"):
            await shortcomings(redis)
        server.start()
        try:
            with pytest.raises(LedgerUnavailable, match="cluster support disabled"):
                await redis.execute("PING")
        finally:
            server.kill()


def waiting(cluster: Cluster) -> Connection:
    """A connection on which a write counts when a replica has it."""
    return Connection(f"{cluster.url}?replicas=1")
