"""The ledger as tables, one line a step, played on the specification and on the real Redis alike.

    step                  | answer                 the wallet then

`reported h1 45` is an `end` in that state with that cost; `at 5000` sets the clock, in milliseconds after the first
hold. Every hold is due at 100. `log` answers the usage log so far, `key` the sums of the key's account.

`rates 6 60` allows 6 requests and 60 tokens a minute; from `minute 10` on a hold draws 10 tokens, and its end gives
back all but one. `left` answers what was left of each minute at the last hold, in how many milliseconds it is whole
again, and in how many the same would be admitted.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.core.identity import KeyRecord, KeyStatus, OwnerRecord
from extproc.core.ledger import (
    KEEP_MS,
    UNLIMITED,
    Account,
    AccountKind,
    Balance,
    End,
    EndResult,
    Hold,
    Ledger,
    Outcome,
    State,
    UsageEntry,
    bucket_of,
)
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.core.rate import NO_LIMIT, Draw, Level
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger
from extproc.store.usage import usage_of_owner
from tests.store.cluster import Cluster
from tests.store.redis_server import RedisServer

START_MS = 4_000_000_000_000
"""In 2096, so that no Redis forgets a hold while a test runs."""

DUE_MS = 100
WORDS = {"MAX": MAX_ACCOUNT_NANO, "KEEP": KEEP_MS}


def owners() -> Iterator[str]:
    """Names of owners who share no bucket, so that each may have a hold called `h1`."""
    taken: set[int] = set()
    for name in (f"owner{number}" for number in count()):
        if bucket_of(name) not in taken:
            taken.add(bucket_of(name))
            yield name


@dataclass
class Play:
    """One owner with one key, and the steps a table may take."""

    ledger: Ledger
    put_key: Callable[[KeyRecord], Awaitable[None]]
    put_owner: Callable[[OwnerRecord], Awaitable[None]]
    usage: Callable[[str], Awaitable[list[UsageEntry]]]
    owner: str
    now_ms: int = START_MS
    month: str = "2026-11"
    requests: Draw = NO_LIMIT
    tokens: Draw = NO_LIMIT
    levels: str = ""

    async def open(self) -> None:
        """Give the owner a key without a cap."""
        self.key = KeyRecord(f"key-of-{self.owner}", self.owner, "sk-", "", "g")
        self.said = OwnerRecord(self.owner)
        self.revision, self.owner_revision = self.key.revision, self.said.revision
        await self.put_key(self.key)

    async def line(self, step: str) -> str:
        """Take one step; the line as the table should have it."""
        verb, *args = step.split()
        answer = await self.step(verb, *args)
        wallet = await self.balance(AccountKind.WALLET)
        return f"{step} | {answer} {show(wallet)}"

    async def step(self, verb: str, *args: str) -> str:
        """Take one step; what was answered."""
        if verb.upper() in State.__members__:
            return await self.end_step(State[verb.upper()], args[0], nano(args[1]) if args[1:] else 0)
        match verb, args:
            case "at", (after,):
                self.now_ms = START_MS + sum(map(nano, after.split("+")))
                return "set"
            case "top_up", (amount, reference):
                result = await self.ledger.top_up(self.owner, nano(amount), reference, self.now_ms)
                return f"{result.outcome} {result.limit_nano}"
            case (("bonus" | "refund" | "adjust"), (amount, reference)):
                result = await getattr(self.ledger, verb)(self.owner, nano(amount), "a reason", reference, self.now_ms)
                return f"{result.outcome} {result.limit_nano}"
            case "hold", (hold_id, amount):
                held = await self.ledger.hold(self.ask(hold_id, nano(amount)))
                self.levels = f"requests {show_level(held.requests)} tokens {show_level(held.tokens)}"
                return held.outcome if held.available_nano is None else f"{held.outcome} {held.available_nano}"
            case "rates", (requests, tokens):
                self.requests, self.tokens = Draw(int(requests), 1), Draw(int(tokens), 0)
                return "set"
            case "minute", (tokens,):
                self.tokens = replace(self.tokens, amount=int(tokens))
                return "set"
            case "left", ():
                return self.levels
            case "expire", ():
                ids = await self.ledger.expire_due(bucket_of(self.owner), self.now_ms, 10)
                return " ".join(["expired", *ids])
            case "cap", (amount,):
                return await self.change(replace(self.key, cap_nano=nano(amount)))
            case "month_limit", (amount,):
                return await self.change(replace(self.key, month_limit_nano=nano(amount)))
            case "max_live", (count,):
                return await self.change(replace(self.key, max_live=int(count)))
            case "join", (team, member):
                return await self.change(replace(self.key, team=team, member=member))
            case "month", (month,):
                self.month = month
                return "set"
            case "quota", (kind, amount):
                (account,) = (one for one in self.key.quotas if one.kind == kind)
                await self.ledger.set_limit(self.owner, account, nano(amount))
                return "set"
            case "status", (status,):
                return await self.change(replace(self.key, status=KeyStatus(status)))
            case "tier", (tier,):
                self.said = replace(self.said, tier=tier, revision=self.said.revision + 1)
                await self.put_owner(self.said)
                return "changed"
            case "learn", ():
                self.revision, self.owner_revision = self.key.revision, self.said.revision
                return "learnt"
            case "key", ():
                return f"({show(await self.balance(AccountKind.KEY))})"
            case "log", ():
                entries = await self.usage(self.owner)
                return ", ".join(f"{e.state.name.lower()} {e.cost_nano}{' late' * e.late}" for e in entries)
        raise ValueError(verb)

    def ask(self, hold_id: str, amount_nano: int) -> Hold:
        """A hold at the present time, by someone who knows the key as it was when last learnt."""
        return Hold(
            hold_id=hold_id,
            owner=self.owner,
            key_id=self.key.key_id,
            key_revision=self.revision,
            owner_revision=self.owner_revision,
            accounts=self.key.accounts(self.month),
            amount_nano=amount_nano,
            now_ms=self.now_ms,
            deadline_ms=START_MS + DUE_MS,
            record=f"record of {hold_id}",
            month_limit_nano=self.key.month_limit_nano or UNLIMITED,
            max_live=self.key.max_live,
            requests=self.requests,
            tokens=self.tokens,
        )

    async def end(self, state: State, hold_id: str, cost_nano: int) -> EndResult:
        """Report an end at the present time."""
        return await self.ledger.end(
            End(
                hold_id=hold_id,
                owner=self.owner,
                accounts=self.key.accounts(self.month),
                state=state,
                cost_nano=cost_nano,
                now_ms=self.now_ms,
                deadline_ms=START_MS + DUE_MS,
                reporter="test",
                record=f"end of {hold_id}",
                tokens_back_us=self.tokens.back_us(1),
            )
        )

    async def end_step(self, state: State, hold_id: str, cost_nano: int) -> str:
        """The same, as a step of a table."""
        result = await self.end(state, hold_id, cost_nano)
        late = " late" if result.late else ""
        return f"{result.outcome} {result.state.name.lower()} {result.charged_nano}{late}"

    async def change(self, key: KeyRecord) -> str:
        """Store the key's next revision; who holds goes on with the one last learnt."""
        self.key = replace(key, revision=key.revision + 1)
        await self.put_key(self.key)
        return "changed"

    async def balance(self, kind: AccountKind) -> Balance:
        """The sums of the key's account or of the wallet."""
        name = self.owner if kind is AccountKind.WALLET else self.key.key_id
        return await self.ledger.balance(self.owner, Account(kind, name))


def nano(word: str) -> int:
    """A number, MAX or KEEP."""
    size = word.removeprefix("-")
    return (WORDS.get(size) or int(size)) * (-1 if size != word else 1)


def show_level(level: Level | None) -> str:
    """What is left of a minute, when it is whole, and when the same can be asked again."""
    return f"{level.remaining}/{level.limit} ({level.reset_ms}, {level.retry_ms})" if level else "no limit"


def show(sums: Balance) -> str:
    """The sums of an account, in words."""
    return f"held {sums.held_nano} used {sums.used_nano} available {sums.available_nano}"


@asynccontextmanager
async def in_memory() -> AsyncIterator[Callable[[], Play]]:
    """Plays on the specification."""
    ledger = MemoryLedger()

    async def put_key(key: KeyRecord) -> None:
        ledger.put_key(key)

    async def put_owner(owner: OwnerRecord) -> None:
        ledger.put_owner(owner)

    async def usage(owner: str) -> list[UsageEntry]:
        return [entry for entry in ledger.usage_log if entry.owner == owner]

    names = owners()
    yield lambda: Play(ledger, put_key, put_owner, usage, next(names))


@asynccontextmanager
async def in_redis(server: RedisServer | Cluster) -> AsyncIterator[Callable[[], Play]]:
    """Plays on the real thing."""
    connection = Connection(server.url)

    async def put_key(key: KeyRecord) -> None:
        assert await RedisKeyring(connection).put(key, replaces=key.revision - 1)

    async def put_owner(owner: OwnerRecord) -> None:
        assert await RedisKeyring(connection).put_owner(owner, replaces=owner.revision - 1)

    async def usage(owner: str) -> list[UsageEntry]:
        return [entry async for entry in usage_of_owner(connection, owner)]

    server.flush()
    names = owners()
    yield lambda: Play(RedisLedger(connection), put_key, put_owner, usage, next(names))
    await connection.aclose()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running Redis Cluster."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture(params=["memory", "server", "cluster"])
async def new_play(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Play]]:
    """What makes a new owner to play with, in each ledger."""
    where = in_memory() if request.param == "memory" else in_redis(request.getfixturevalue(request.param))
    async with where as new_play:
        yield new_play


TABLES = {
    "so many requests a minute, which come back evenly": """
        rates 3 0     | set held 0 used 0 available 0
        hold h1 0     | held held 0 used 0 available 0
        hold h2 0     | held held 0 used 0 available 0
        hold h3 0     | held held 0 used 0 available 0
        left          | requests 0/3 (60000, 20000) tokens no limit held 0 used 0 available 0
        hold h4 0     | requests_per_minute held 0 used 0 available 0
        left          | requests 0/3 (60000, 20000) tokens no limit held 0 used 0 available 0
        at 19999      | set held 0 used 0 available 0
        hold h4 0     | requests_per_minute held 0 used 0 available 0
        released h1   | ended released 0 held 0 used 0 available 0
        hold h4 0     | requests_per_minute held 0 used 0 available 0
        at 20000      | set held 0 used 0 available 0
        hold h4 0     | held held 0 used 0 available 0
        hold h4 0     | exists held 0 used 0 available 0
        left          | requests 0/3 (60000, 20000) tokens no limit held 0 used 0 available 0
        at 900000     | set held 0 used 0 available 0
        hold h5 0     | held held 0 used 0 available 0
        left          | requests 2/3 (20000, 0) tokens no limit held 0 used 0 available 0
    """,
    "tokens are drawn as estimated, and given back when it is known what was used": """
        rates 0 60    | set held 0 used 0 available 0
        minute 40     | set held 0 used 0 available 0
        hold h1 0     | held held 0 used 0 available 0
        left          | requests no limit tokens 20/60 (40000, 20000) held 0 used 0 available 0
        hold h2 0     | tokens_per_minute held 0 used 0 available 0
        released h1   | ended released 0 held 0 used 0 available 0
        reported h1 0 | ended reported 0 held 0 used 0 available 0
        hold h2 0     | held held 0 used 0 available 0
        left          | requests no limit tokens 19/60 (41000, 21000) held 0 used 0 available 0
        hold h3 0     | tokens_per_minute held 0 used 0 available 0
    """,
    "one request larger than a minute passes, and the next waits for it": """
        rates 0 60    | set held 0 used 0 available 0
        minute 90     | set held 0 used 0 available 0
        hold h1 0     | held held 0 used 0 available 0
        minute 1      | set held 0 used 0 available 0
        hold h2 0     | tokens_per_minute held 0 used 0 available 0
        left          | requests no limit tokens 0/60 (90000, 31000) held 0 used 0 available 0
        at 31000      | set held 0 used 0 available 0
        hold h2 0     | held held 0 used 0 available 0
        minute 90     | set held 0 used 0 available 0
        at 89999      | set held 0 used 0 available 0
        hold h3 0     | tokens_per_minute held 0 used 0 available 0
        at 91000      | set held 0 used 0 available 0
        hold h3 0     | held held 0 used 0 available 0
    """,
    "what is refused draws nothing, whatever the reason": """
        rates 2 60    | set held 0 used 0 available 0
        minute 30     | set held 0 used 0 available 0
        hold h1 1     | wallet 0 held 0 used 0 available 0
        hold h1 0     | held held 0 used 0 available 0
        left          | requests 1/2 (30000, 0) tokens 30/60 (30000, 0) held 0 used 0 available 0
        max_live 1    | changed held 0 used 0 available 0
        hold h2 0     | key_stale held 0 used 0 available 0
        learn         | learnt held 0 used 0 available 0
        hold h2 0     | concurrency held 0 used 0 available 0
        left          | requests 1/2 (30000, 0) tokens 30/60 (30000, 0) held 0 used 0 available 0
    """,
    "what is said of an owner counts for the next hold": """
        top_up 100 a  | topped_up 100          held 0 used 0 available 100
        hold h1 10    | held                   held 10 used 0 available 90
        tier pro      | changed                held 10 used 0 available 90
        hold h2 10    | key_stale              held 10 used 0 available 90
        hold h1 10    | exists                 held 10 used 0 available 90
        reported h1 5 | ended reported 5       held 0 used 5 available 95
        learn         | learnt                 held 0 used 5 available 95
        hold h2 10    | held                   held 10 used 5 available 85
        tier staff    | changed                held 10 used 5 available 85
        status disabled | changed              held 10 used 5 available 85
        hold h3 10    | key_disabled           held 10 used 5 available 85
    """,
    "a month has a limit of its own, and the next one begins by itself": """
        top_up 200 a    | topped_up 200          held 0 used 0 available 200
        month_limit 50  | changed                held 0 used 0 available 200
        learn           | learnt                 held 0 used 0 available 200
        hold h1 30      | held                   held 30 used 0 available 170
        hold h2 30      | key_month 20           held 30 used 0 available 170
        reported h1 30  | ended reported 30      held 0 used 30 available 170
        hold h2 21      | key_month 20           held 0 used 30 available 170
        hold h2 20      | held                   held 20 used 30 available 150
        month 2026-12   | set                    held 20 used 30 available 150
        hold h3 50      | held                   held 70 used 30 available 100
        month_limit 90  | changed                held 70 used 30 available 100
        learn           | learnt                 held 70 used 30 available 100
        hold h4 41      | key_month 40           held 70 used 30 available 100
        hold h4 40      | held                   held 110 used 30 available 60
    """,
    "in a team the member, the team and the wallet that pays must all have enough": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        join red bob    | changed                held 0 used 0 available 100
        learn           | learnt                 held 0 used 0 available 100
        quota team 60   | set                    held 0 used 0 available 100
        quota member 40 | set                    held 0 used 0 available 100
        hold h1 41      | member_quota 40        held 0 used 0 available 100
        hold h1 30      | held                   held 30 used 0 available 70
        join red ann    | changed                held 30 used 0 available 70
        learn           | learnt                 held 30 used 0 available 70
        hold h2 31      | team_quota 30          held 30 used 0 available 70
        quota team 200  | set                    held 30 used 0 available 70
        hold h2 71      | wallet 70              held 30 used 0 available 70
        hold h2 70      | held                   held 100 used 0 available 0
        released h1     | ended released 0       held 70 used 0 available 30
    """,
    "the first side that is short is the one that is named": """
        top_up 10 a     | topped_up 10           held 0 used 0 available 10
        cap 10          | changed                held 0 used 0 available 10
        month_limit 10  | changed                held 0 used 0 available 10
        join red bob    | changed                held 0 used 0 available 10
        learn           | learnt                 held 0 used 0 available 10
        quota team 10   | set                    held 0 used 0 available 10
        quota member 10 | set                    held 0 used 0 available 10
        hold h1 11      | key_quota 10           held 0 used 0 available 10
        cap 99          | changed                held 0 used 0 available 10
        learn           | learnt                 held 0 used 0 available 10
        hold h1 11      | key_month 10           held 0 used 0 available 10
        month_limit 99  | changed                held 0 used 0 available 10
        learn           | learnt                 held 0 used 0 available 10
        hold h1 11      | member_quota 10        held 0 used 0 available 10
        quota member 99 | set                    held 0 used 0 available 10
        hold h1 11      | team_quota 10          held 0 used 0 available 10
        quota team 99   | set                    held 0 used 0 available 10
        hold h1 11      | wallet 10              held 0 used 0 available 10
    """,
    "so many holds of a key may be live, and any end makes room": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        max_live 2      | changed                held 0 used 0 available 100
        learn           | learnt                 held 0 used 0 available 100
        hold h1 1       | held                   held 1 used 0 available 99
        hold h2 0       | held                   held 1 used 0 available 99
        hold h3 999     | concurrency            held 1 used 0 available 99
        hold h1 1       | exists                 held 1 used 0 available 99
        released h1     | ended released 0       held 0 used 0 available 100
        released h1     | unchanged released 0   held 0 used 0 available 100
        hold h3 1       | held                   held 1 used 0 available 99
        hold h4 1       | concurrency            held 1 used 0 available 99
        at 101          | set                    held 1 used 0 available 99
        expire          | expired h2 h3          held 0 used 0 available 100
        reported h3 5   | ended reported 5 late  held 0 used 5 available 95
        hold h5 1       | held                   held 1 used 5 available 94
        hold h6 1       | held                   held 2 used 5 available 93
        hold h7 1       | concurrency            held 2 used 5 available 93
    """,
    "a settled hold costs what was used, and the rest goes back": """
        top_up 140 a    | topped_up 140          held 0 used 0 available 140
        hold h1 50      | held                   held 50 used 0 available 90
        reported h1 45  | ended reported 45      held 0 used 45 available 95
        log             | reported 45            held 0 used 45 available 95
        key             | (held 0 used 45 available None)  held 0 used 45 available 95
    """,
    "a failed request costs nothing, and says so in the log": """
        top_up 140 a    | topped_up 140          held 0 used 0 available 140
        hold h1 50      | held                   held 50 used 0 available 90
        released h1     | ended released 0       held 0 used 0 available 140
        log             | released 0             held 0 used 0 available 140
    """,
    "an overrun is charged in full, and then only what is free is admitted": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        hold h1 25      | held                   held 25 used 0 available 75
        reported h1 115 | ended reported 115     held 0 used 115 available -15
        hold h2 1       | wallet -15             held 0 used 115 available -15
        hold h3 0       | held                   held 0 used 115 available -15
        released h3     | ended released 0       held 0 used 115 available -15
    """,
    "the last nano can be held, and not one more": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        hold h1 99      | held                   held 99 used 0 available 1
        hold h2 2       | wallet 1               held 99 used 0 available 1
        hold h2 1       | held                   held 100 used 0 available 0
        hold h3 1       | wallet 0               held 100 used 0 available 0
    """,
    "a wallet nobody filled admits only what is free": """
        hold h1 1       | wallet 0               held 0 used 0 available 0
        hold h1 0       | held                   held 0 used 0 available 0
    """,
    "a key's cap refuses before the wallet, and takes nothing from it": """
        top_up 10 a     | topped_up 10           held 0 used 0 available 10
        cap 5           | changed                held 0 used 0 available 10
        learn           | learnt                 held 0 used 0 available 10
        hold h1 11      | key_quota 5            held 0 used 0 available 10
        hold h1 5       | held                   held 5 used 0 available 5
        hold h2 1       | key_quota 0            held 5 used 0 available 5
        key             | (held 5 used 0 available 0)   held 5 used 0 available 5
        cap 0           | changed                held 5 used 0 available 5
        learn           | learnt                 held 5 used 0 available 5
        hold h2 5       | held                   held 10 used 0 available 0
        hold h3 5       | wallet 0               held 10 used 0 available 0
        key             | (held 10 used 0 available None)   held 10 used 0 available 0
    """,
    "of several reasons to refuse, the first in the order of precedence is told": """
        hold h1 0               | held              held 0 used 0 available 0
        cap 5                   | changed           held 0 used 0 available 0
        hold h2 7               | key_stale         held 0 used 0 available 0
        status disabled         | changed           held 0 used 0 available 0
        hold h2 7               | key_disabled      held 0 used 0 available 0
        hold h1 7               | exists_different  held 0 used 0 available 0
        hold h1 0               | exists            held 0 used 0 available 0
        learn                   | learnt            held 0 used 0 available 0
        hold h2 7               | key_disabled      held 0 used 0 available 0
        status active           | changed           held 0 used 0 available 0
        learn                   | learnt            held 0 used 0 available 0
        hold h2 7               | key_quota 5       held 0 used 0 available 0
        hold h2 5               | wallet 0          held 0 used 0 available 0
    """,
    "a retried admission holds once, and an id is never used twice": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        hold h1 40      | held                   held 40 used 0 available 60
        hold h1 40      | exists                 held 40 used 0 available 60
        hold h1 41      | exists_different       held 40 used 0 available 60
        reported h1 40  | ended reported 40      held 0 used 40 available 60
        hold h1 40      | exists_different       held 0 used 40 available 60
    """,
    "reports of more knowledge correct the charge, and lesser ones change nothing": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        hold h1 40      | held                   held 40 used 0 available 60
        released h1     | ended released 0       held 0 used 0 available 100
        estimated h1 40 | ended estimated 40     held 0 used 40 available 60
        partial h1 10   | ended partial 10       held 0 used 10 available 90
        reported h1 12  | ended reported 12      held 0 used 12 available 88
        partial h1 10   | unchanged reported 12  held 0 used 12 available 88
        estimated h1 40 | unchanged reported 12  held 0 used 12 available 88
        released h1     | unchanged reported 12  held 0 used 12 available 88
        log             | released 0, estimated 40, partial -30, reported 2  held 0 used 12 available 88
    """,
    "a repeated report changes nothing, and one that differs is told apart": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        hold h1 40      | held                   held 40 used 0 available 60
        reported h1 12  | ended reported 12      held 0 used 12 available 88
        reported h1 12  | unchanged reported 12  held 0 used 12 available 88
        reported h1 13  | disagrees reported 12  held 0 used 12 available 88
        log             | reported 12            held 0 used 12 available 88
    """,
    "an expired hold costs nothing, unless a late report says what was used": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        hold h1 40      | held                   held 40 used 0 available 60
        hold h2 30      | held                   held 70 used 0 available 30
        hold h3 20      | held                   held 90 used 0 available 10
        reported h3 20  | ended reported 20      held 70 used 20 available 10
        at 99           | set                    held 70 used 20 available 10
        expire          | expired                held 70 used 20 available 10
        at 100          | set                    held 70 used 20 available 10
        expire          | expired h1 h2          held 0 used 20 available 80
        expire          | expired                held 0 used 20 available 80
        released h1     | ended released 0 late  held 0 used 20 available 80
        partial h2 25   | ended partial 25 late  held 0 used 45 available 55
        reported h2 26  | ended reported 26      held 0 used 46 available 54
        hold h1 40      | exists_different       held 0 used 46 available 54
        log             | reported 20, expired 0, expired 0, released 0 late, partial 25 late, reported 1 \
                                                 held 0 used 46 available 54
    """,
    "a report that overtakes its hold counts, and the hold is refused": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        released h1     | ended released 0 late  held 0 used 0 available 100
        hold h1 40      | exists_different       held 0 used 0 available 100
        reported h2 15  | ended reported 15 late held 0 used 15 available 85
        hold h2 40      | exists_different       held 0 used 15 available 85
        reported h2 15  | unchanged reported 15  held 0 used 15 available 85
    """,
    "a report for an unknown hold is refused once a repetition could not be told": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        hold h0 1       | held                   held 1 used 0 available 99
        at KEEP+100     | set                    held 1 used 0 available 99
        reported h1 15  | ended reported 15 late held 1 used 15 available 84
        at KEEP+101     | set                    held 1 used 15 available 84
        reported h2 15  | too_late absent 0 late held 1 used 15 available 84
        released h2     | too_late absent 0 late held 1 used 15 available 84
        reported h1 15  | unchanged reported 15  held 1 used 15 available 84
        reported h0 15  | ended reported 15      held 0 used 30 available 70
    """,
    "a top-up counts once per reference": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        top_up 50 b     | topped_up 150          held 0 used 0 available 150
        top_up 100 a    | repeated 100           held 0 used 0 available 150
        top_up 7 b      | repeated 150           held 0 used 0 available 150
    """,
    "a refund puts money back, once, and leaves the charge as it is": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        hold h1 40      | held                   held 40 used 0 available 60
        reported h1 30  | ended reported 30      held 0 used 30 available 70
        refund 30 r     | refunded 130           held 0 used 30 available 100
        refund 30 r     | repeated 130           held 0 used 30 available 100
        refund 5 a      | repeated 100           held 0 used 30 available 100
        refund 5 s      | refunded 135           held 0 used 30 available 105
        refund MAX t    | over_maximum 135       held 0 used 30 available 105
        log             | reported 30            held 0 used 30 available 105
        key             | (held 0 used 30 available None)  held 0 used 30 available 105
    """,
    "a bonus is money as any other": """
        bonus 100 a     | given 100              held 0 used 0 available 100
        bonus 100 a     | repeated 100           held 0 used 0 available 100
        top_up 5 a      | repeated 100           held 0 used 0 available 100
        hold h1 60      | held                   held 60 used 0 available 40
        reported h1 30  | ended reported 30      held 0 used 30 available 70
        bonus MAX b     | over_maximum 100       held 0 used 30 available 70
        adjust -100 c   | adjusted 0             held 0 used 30 available -30
    """,
    "an adjustment goes either way, and takes no more than was ever put in": """
        top_up 100 a    | topped_up 100          held 0 used 0 available 100
        adjust 20 x     | adjusted 120           held 0 used 0 available 120
        adjust -50 y    | adjusted 70            held 0 used 0 available 70
        adjust -50 y    | repeated 70            held 0 used 0 available 70
        adjust -71 z    | below_zero 70          held 0 used 0 available 70
        adjust MAX z    | over_maximum 70        held 0 used 0 available 70
        adjust -MAX z   | below_zero 70          held 0 used 0 available 70
        hold h1 60      | held                   held 60 used 0 available 10
        adjust -70 z    | adjusted 0             held 60 used 0 available -60
        reported h1 60  | ended reported 60      held 0 used 60 available -60
        hold h2 1       | wallet -60             held 0 used 60 available -60
        refund 61 r     | refunded 61            held 0 used 60 available 1
        hold h2 1       | held                   held 1 used 60 available 0
    """,
    "no account goes beyond what can be counted exactly": """
        top_up MAX a    | topped_up 9007199254740991     held 0 used 0 available 9007199254740991
        top_up 1 b      | over_maximum 9007199254740991  held 0 used 0 available 9007199254740991
        hold h1 MAX     | held                           held 9007199254740991 used 0 available 0
        reported h1 MAX | ended reported 9007199254740991  held 0 used 9007199254740991 available 0
        reported h2 1   | over_maximum absent 0 late     held 0 used 9007199254740991 available 0
        hold h3 1       | key_quota 0                    held 0 used 9007199254740991 available 0
        hold h3 0       | held                           held 0 used 9007199254740991 available 0
        reported h3 1   | over_maximum held 0            held 0 used 9007199254740991 available 0
    """,
    "an absurd amount is refused, not held": """
        top_up 5 a                           | topped_up 5                  held 0 used 0 available 5
        hold h1 99999999999999999999999      | key_quota 9007199254740991   held 0 used 0 available 5
        top_up 99999999999999999999999 b     | over_maximum 5               held 0 used 0 available 5
        reported h2 99999999999999999999999  | over_maximum absent 0 late   held 0 used 0 available 5
    """,
}


@pytest.mark.parametrize("fact", TABLES)
async def test_table(fact: str, new_play: Callable[[], Play]) -> None:
    """Each line of the table is what the ledger answers and what the wallet has then."""
    play = new_play()
    await play.open()
    expected = [" ".join(line.split()) for line in TABLES[fact].strip().splitlines()]
    assert [await play.line(line.partition(" |")[0]) for line in expected] == expected


def test_every_outcome_is_played() -> None:
    """There is no answer of a ledger that no table has."""
    steps = [line.partition("|")[2].split() for table in TABLES.values() for line in table.strip().splitlines()]
    assert {answer[0] for answer in steps} >= set(Outcome)


async def test_an_expired_hold_is_logged_with_its_own_record(new_play: Callable[[], Play]) -> None:
    """The sweeper knows nothing of a request but what its hold brought along; a report brings its own."""
    play = new_play()
    await play.open()
    await play.ledger.hold(play.ask("h1", 0))
    await play.ledger.expire_due(bucket_of(play.owner), START_MS + DUE_MS, 10)
    await play.end(State.REPORTED, "h1", 3)
    assert await play.usage(play.owner) == [
        UsageEntry("h1", play.owner, State.EXPIRED, "sweeper", 0, False, START_MS + DUE_MS, "record of h1"),
        UsageEntry("h1", play.owner, State.REPORTED, "test", 3, True, START_MS, "end of h1"),
    ]


async def test_holds_expire_oldest_first_and_not_all_at_once(new_play: Callable[[], Play]) -> None:
    """One call expires as many as it may, by deadline and then by id; the next goes on."""
    play = new_play()
    await play.open()
    for hold_id, deadline_ms in (("b", 2), ("a", 2), ("c", 1), ("d", 3)):
        await play.ledger.hold(replace(play.ask(hold_id, 0), deadline_ms=deadline_ms))
    bucket = bucket_of(play.owner)
    assert [await play.ledger.expire_due(bucket, 2, 2) for _ in range(3)] == [["c", "a"], ["b"], []]


@pytest.mark.parametrize("amount_nano", [0, -1])
async def test_a_top_up_must_be_positive(new_play: Callable[[], Play], amount_nano: int) -> None:
    """Nothing can be taken out of a wallet by putting in less than nothing."""
    with pytest.raises(ValueError, match="more than 0"):
        await new_play().ledger.top_up("ada", amount_nano, "a", START_MS)


@pytest.mark.parametrize(
    ("verb", "amount_nano", "reason", "complaint"),
    [
        ("bonus", -1, "why", "a bonus must be more than 0, and at most 9007199254740991 nano-USD"),
        ("bonus", 1, "", "the bonus needs a reason"),
        ("refund", 0, "why", "a refund must be more than 0"),
        ("refund", -1, "why", "a refund must be more than 0"),
        ("refund", 1, " ", "the refund needs a reason"),
        ("adjust", 0, "why", "an adjustment must not be 0"),
        ("adjust", -1, "", "the adjustment needs a reason"),
    ],
)
async def test_a_correction_has_an_amount_and_a_reason(
    new_play: Callable[[], Play], verb: str, amount_nano: int, reason: str, complaint: str
) -> None:
    """Nobody corrects a wallet by nothing, in the wrong direction, or without saying why."""
    with pytest.raises(ValueError, match=complaint):
        await getattr(new_play().ledger, verb)("ada", amount_nano, reason, "a", START_MS)


async def test_a_key_nobody_made_is_refused(new_play: Callable[[], Play]) -> None:
    """A hold by an unknown key takes nothing."""
    play = new_play()
    await play.open()
    stranger = replace(play.ask("h1", 0), key_id="stranger")
    assert (await play.ledger.hold(stranger)).outcome is Outcome.KEY_DISABLED


@pytest.mark.parametrize("revisions_off", [-1, 1])
async def test_only_the_keys_present_revision_may_hold(new_play: Callable[[], Play], revisions_off: int) -> None:
    """A key that is known as it was is refused, and so is one as it never was."""
    play = new_play()
    await play.open()
    hold = replace(play.ask("h1", 0), key_revision=play.revision + revisions_off)
    assert (await play.ledger.hold(hold)).outcome is Outcome.KEY_STALE


async def test_another_key_cannot_repeat_a_hold(new_play: Callable[[], Play]) -> None:
    """A held id is refused to every key but the one that took it."""
    play = new_play()
    await play.open()
    await play.put_key(replace(play.key, key_id="other"))
    await play.ledger.hold(play.ask("h1", 0))
    assert (await play.ledger.hold(play.ask("h1", 0))).outcome is Outcome.EXISTS
    again = replace(play.ask("h1", 0), key_id="other")
    assert (await play.ledger.hold(again)).outcome is Outcome.EXISTS_DIFFERENT


async def test_what_is_held_goes_back_where_it_was_taken(new_play: Callable[[], Play]) -> None:
    """A report that names fewer accounts than the hold leaves nothing held on any of them."""
    play = new_play()
    await play.open()
    await play.ledger.top_up(play.owner, 100, "a", START_MS)
    await play.ledger.hold(play.ask("h1", 40))
    wallet = play.key.accounts("2026-11")[1:]
    report = End("h1", play.owner, wallet, State.REPORTED, 10, START_MS, START_MS + DUE_MS, "test")
    await play.ledger.end(report)
    assert (await play.balance(AccountKind.KEY)) == Balance(-1, 0, 0)
    assert (await play.balance(AccountKind.WALLET)) == Balance(100, 0, 10)


REPORTS = {
    State.EXPIRED: 0,
    State.RELEASED: 0,
    State.ESTIMATED: 40,
    State.PARTIAL: 25,
    State.REPORTED: 60,
}
"""What each reporter would say of one and the same request."""


@pytest.mark.parametrize("held_nano", [0, 40])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(reports=st.lists(st.sampled_from(list(REPORTS)), min_size=1, max_size=7))
async def test_reports_in_any_order_and_number_end_alike(
    new_play: Callable[[], Play], reports: list[State], held_nano: int
) -> None:
    """The end is the highest state anyone reported, charged at its cost, and nothing is held any more."""
    play = new_play()
    await play.open()
    await play.ledger.top_up(play.owner, 100, "a", START_MS)
    await play.ledger.hold(play.ask("h1", held_nano))
    for state in reports:
        if state is State.EXPIRED:
            await play.ledger.expire_due(bucket_of(play.owner), START_MS + DUE_MS, 10)
        else:
            await play.end(state, "h1", REPORTS[state])
    highest = max(reports)
    repeated = await play.end(max(highest, State.RELEASED), "h1", REPORTS[highest])
    assert (repeated.state, repeated.charged_nano) == (max(highest, State.RELEASED), REPORTS[highest])
    assert await play.balance(AccountKind.WALLET) == Balance(100, 0, REPORTS[highest])
    assert await play.balance(AccountKind.KEY) == Balance(-1, 0, REPORTS[highest])
    assert sum(entry.cost_nano for entry in await play.usage(play.owner)) == REPORTS[highest]


async def test_a_hold_and_its_reports_end_alike_in_every_order(new_play: Callable[[], Play]) -> None:
    """Even a hold that comes after its own reports changes neither the end state nor a sum."""
    ends = (State.HELD, State.RELEASED, State.PARTIAL, State.REPORTED)
    for order in permutations(ends):
        play = new_play()
        await play.open()
        await play.ledger.top_up(play.owner, 100, "a", START_MS)
        for state in order:
            if state is State.HELD:
                await play.ledger.hold(play.ask("h1", 40))
            else:
                await play.end(state, "h1", REPORTS[state])
        assert await play.balance(AccountKind.WALLET) == Balance(100, 0, 60)
        assert await play.balance(AccountKind.KEY) == Balance(-1, 0, 60)
