"""The ledger: what a request may cost is *held*, and every hold *ends* exactly once.

An account is a limit with two sums: `available = limit − held − used`. A hold takes its amount out of what is
available on every account of a key's context at once, or on none: the key's own cap and month, in a team the member's
and the team's quota, and the wallet of whoever pays. Then reports of how the request ended come in, from the
response trailers, the access log and the sweeper: in any order, any number of times, perhaps never. A report names the
state the hold should reach, and the states are ranked by how much is known:

    ABSENT < HELD < EXPIRED < RELEASED < ESTIMATED < PARTIAL < REPORTED

A report lifts a hold to its own state when that is higher and changes nothing otherwise. So the end state is the
highest that anyone reported, whatever came first:

    the hold is   a report says    then
    ───────────   ──────────────   ─────────────────────────────────────────────────────────────────────────────────
    HELD          any end          the held amount goes back, the cost (0 unless settled) is charged
    EXPIRED       RELEASED         nothing moves: the amount has gone back already
    EXPIRED       a settled state  the cost is charged, late: the work was done, and is paid for
    RELEASED      a settled state  the cost is charged: real usage outweighs "it failed"
    ESTIMATED     PARTIAL          the charge is corrected by the difference, as a new entry
    PARTIAL       REPORTED         the same
    any           the same state   nothing; if the cost differs, the answer is DISAGREES
    any           a lower state    nothing
    ABSENT        any end          as from EXPIRED: the hold was lost, or its report overtook it; a later one is refused

An ended hold is remembered for `KEEP_MS` past its deadline. A report for an absent hold that comes after that is
refused as TOO_LATE, because it could be a repetition.

A settlement may exceed its hold (*overrun*): it is charged in full, and available may go below zero, which refuses the
next hold that costs anything.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol
from zlib import crc32

from extproc.core.money import MAX_ACCOUNT_NANO, format_usd
from extproc.core.rate import NO_LIMIT, Draw, Level
from extproc.errors import BadValue

HOLD_MS = 3_720_000
"""How long a hold may live: two minutes more than `max_stream_duration` in `envoy/envoy.yaml`."""

TASK_MS = 86_400_000
"""How long the hold of a task may live: what nobody asks for within a day of its making is not charged."""

KEEP_MS = 86_400_000
"""How long after its deadline an ended hold is remembered, so that repetitions change nothing."""

BUCKETS = 1024
"""All keys and accounts of one owner live in one bucket, which is one Redis Cluster hash slot."""


SWEEPER = "sweeper"
"""The reporter of an expiry."""


def bucket_of(owner: str) -> int:
    """The bucket of everything of this owner. It is part of every stored name, so it can never change."""
    return crc32(owner.encode()) % BUCKETS


class AccountKind(StrEnum):
    """The kinds of account, in the order in which they may refuse a hold.

    KEY         a key's lifetime cap, by key id
    KEY_MONTH   a key's monthly limit, by key id and month: each month is an account of its own, so nothing has to roll
    MEMBER      what one member may spend of a team's money, by team and member
    TEAM        what a team may spend, by team
    WALLET      the prepaid balance, by owner
    """

    KEY = "key"
    KEY_MONTH = "key_month"
    MEMBER = "member"
    TEAM = "team"
    WALLET = "wallet"


@dataclass(frozen=True, slots=True)
class Account:
    """One limit."""

    kind: AccountKind
    name: str


DEFAULT_MAX_LIVE = 100
"""Requests that a key may have under way at once, unless it says otherwise."""

UNLIMITED = -1
"""The limit of an account that only counts. An account nobody opened has the limit 0."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The sums of one account in nano-USD; `limit_nano` is `UNLIMITED` or what was ever put in."""

    limit_nano: int = 0
    held_nano: int = 0
    used_nano: int = 0

    @property
    def available_nano(self) -> int | None:
        """What a hold may still take, None for no limit."""
        return None if self.limit_nano == UNLIMITED else self.limit_nano - self.held_nano - self.used_nano


class State(IntEnum):
    """How much is known of a hold; a report can only raise it."""

    ABSENT = 0
    HELD = 1
    EXPIRED = 2
    RELEASED = 3
    ESTIMATED = 4
    PARTIAL = 5
    REPORTED = 6

    @property
    def settled(self) -> bool:
        """Whether a cost was charged."""
        return self >= State.ESTIMATED


class Outcome(StrEnum):
    """What became of a verb, refusals of a hold in their order of precedence.

    KEY_STALE: the key, or what is said of its owner, is no longer what the worker read.
    """

    HELD = "held"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    KEY_DISABLED = "key_disabled"
    KEY_STALE = "key_stale"
    CONCURRENCY = "concurrency"
    REQUESTS_PER_MINUTE = "requests_per_minute"
    TOKENS_PER_MINUTE = "tokens_per_minute"
    KEY_QUOTA = "key_quota"
    KEY_MONTH = "key_month"
    MEMBER_QUOTA = "member_quota"
    TEAM_QUOTA = "team_quota"
    WALLET = "wallet"

    ENDED = "ended"
    UNCHANGED = "unchanged"
    DISAGREES = "disagrees"
    TOO_LATE = "too_late"

    TOPPED_UP = "topped_up"
    GIVEN = "given"
    REFUNDED = "refunded"
    ADJUSTED = "adjusted"
    REPEATED = "repeated"
    OVER_MAXIMUM = "over_maximum"
    BELOW_ZERO = "below_zero"


SHORTFALL = {
    AccountKind.KEY: Outcome.KEY_QUOTA,
    AccountKind.KEY_MONTH: Outcome.KEY_MONTH,
    AccountKind.MEMBER: Outcome.MEMBER_QUOTA,
    AccountKind.TEAM: Outcome.TEAM_QUOTA,
    AccountKind.WALLET: Outcome.WALLET,
}
"""What a hold answers when an account of this kind has too little."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A request for `amount_nano` on all of `accounts`. `hold_id` is Envoy's request id.

    `month_limit_nano` is the limit of the key's month, which no account keeps: it is the key's, and may change within
    the month. `max_live` is how many holds of the key may be live at once, `requests` and `tokens` what it draws of the
    key's minute. `record` is opaque to the ledger: what the sweeper writes into the usage log if the hold expires.
    """

    hold_id: str
    owner: str
    key_id: str
    key_revision: int
    accounts: tuple[Account, ...]
    amount_nano: int
    now_ms: int
    deadline_ms: int
    record: str = ""
    owner_revision: int = 0
    month_limit_nano: int = UNLIMITED
    max_live: int = DEFAULT_MAX_LIVE
    requests: Draw = NO_LIMIT
    tokens: Draw = NO_LIMIT

    def default_limit_nano(self, account: Account) -> int:
        """The limit of an account that has none of its own: 0 unless it is a month."""
        return self.month_limit_nano if account.kind is AccountKind.KEY_MONTH else 0


@dataclass(frozen=True, slots=True)
class HoldResult:
    """`available_nano` is what the refusing account had left, where one refused for money.

    `requests` and `tokens` are what is left of the key's minute now, where it is limited.
    """

    outcome: Outcome
    available_nano: int | None = None
    requests: Level | None = None
    tokens: Level | None = None


@dataclass(frozen=True, slots=True)
class End:
    """One report of how a request ended: RELEASED with cost 0, or a settled state with its cost.

    `tokens_back_us` is what the first end of a hold gives back of the key's minute, see `Draw.back_us`.
    """

    hold_id: str
    owner: str
    accounts: tuple[Account, ...]
    state: State
    cost_nano: int
    now_ms: int
    deadline_ms: int
    reporter: str
    record: str = ""
    tokens_back_us: int = 0


@dataclass(frozen=True, slots=True)
class EndResult:
    """The state the hold is in now and what it was charged in all; `late` when it had expired or was lost.

    `before` is the state it was in, and `more_nano` what this report charged of it all, less than 0 for a correction.
    """

    outcome: Outcome
    state: State
    charged_nano: int
    late: bool = False
    before: State = State.ABSENT
    more_nano: int = 0


class EntryKind(StrEnum):
    """Why a wallet's limit changed.

    TOP_UP      money came in
    BONUS       money is given that nobody paid
    REFUND      money goes back because of an earlier charge, which stays as it is
    ADJUSTMENT  a correction by hand, in either direction
    """

    TOP_UP = "top_up"
    BONUS = "bonus"
    REFUND = "refund"
    ADJUSTMENT = "adjustment"


ENTERED = {
    EntryKind.TOP_UP: Outcome.TOPPED_UP,
    EntryKind.BONUS: Outcome.GIVEN,
    EntryKind.REFUND: Outcome.REFUNDED,
    EntryKind.ADJUSTMENT: Outcome.ADJUSTED,
}
"""What is answered when an entry of this kind was made."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be made in a wallet, once per `reference`: whatever its kind, a reference names one entry.

    `request_id` is the request that a refund is for, if it is for one; `who` makes the entry, as in `By`. Raises
    `BadValue` unless the amount is more than 0 (of an adjustment: not 0), it has a reference and all but a top-up have
    a reason. An amount that no account can count is OVER_MAXIMUM, or BELOW_ZERO, unless its reference was used before.
    """

    kind: EntryKind
    amount_nano: int
    reference: str
    now_ms: int
    reason: str = ""
    request_id: str = ""
    who: str = ""

    def __post_init__(self) -> None:
        what = self.kind.value.replace("_", "-")
        if self.kind is EntryKind.ADJUSTMENT:
            if self.amount_nano == 0:
                raise BadValue(f"an {what} must not be 0")
        elif self.amount_nano <= 0:
            most = f"{MAX_ACCOUNT_NANO} nano-USD ({format_usd(MAX_ACCOUNT_NANO)})"
            raise BadValue(f"a {what} must be more than 0, and at most {most}")
        if self.kind is not EntryKind.TOP_UP and not self.reason.strip():
            raise BadValue(f"the {what} needs a reason")
        if not self.reference:
            raise BadValue(f"the {what} needs a reference: one that is made twice is then made once")


@dataclass(frozen=True, slots=True)
class EntryResult:
    """The wallet's limit after the entry (or after the first one with the same reference)."""

    outcome: Outcome
    limit_nano: int


@dataclass(frozen=True, slots=True)
class UsageEntry:
    """One line of the usage log: a hold was lifted to `state`, and `cost_nano` more (or less) was charged for it."""

    hold_id: str
    owner: str
    state: State
    reporter: str
    cost_nano: int
    late: bool
    at_ms: int
    record: str


@dataclass(frozen=True, slots=True)
class WalletEntry:
    """One line of an owner's wallet: `amount_nano` was put in (or taken out), which made the limit `limit_nano`."""

    reference: str
    amount_nano: int
    limit_nano: int
    at_ms: int
    kind: EntryKind = EntryKind.TOP_UP
    reason: str = ""
    request_id: str = ""


class Ledger(Protocol):
    """The one seam between the rules and the store.

    Each verb is atomic and may be repeated. Every verb raises `LedgerUnavailable` when the store does not answer;
    whether it took effect is then unknown, and repeating it is safe.
    """

    async def hold(self, hold: Hold) -> HoldResult:
        """Take the amount out of every account, or out of none."""
        ...

    async def end(self, end: End) -> EndResult:
        """Report an end: settle or release."""
        ...

    async def expire_due(self, bucket: int, now_ms: int, limit: int) -> list[str]:
        """Expire up to `limit` holds of one bucket whose deadline has passed; their ids."""
        ...

    async def top_up(self, owner: str, amount_nano: int, reference: str, now_ms: int, *, who: str = "") -> EntryResult:
        """Put money into a wallet, once per reference. Raises `BadValue` as `NewEntry` does, as the next three do."""
        ...

    async def bonus(
        self, owner: str, amount_nano: int, reason: str, reference: str, now_ms: int, *, who: str = ""
    ) -> EntryResult:
        """Give money that nobody paid, once per reference."""
        ...

    async def refund(
        self,
        owner: str,
        amount_nano: int,
        reason: str,
        reference: str,
        now_ms: int,
        request_id: str = "",
        *,
        who: str = "",
    ) -> EntryResult:
        """Put money back into a wallet because of an earlier charge, once per reference.

        What the charge used of a key's cap, month or a team's quota stays used.
        """
        ...

    async def adjust(
        self, owner: str, amount_nano: int, reason: str, reference: str, now_ms: int, *, who: str = ""
    ) -> EntryResult:
        """Correct a wallet by hand, up or down, once per reference; BELOW_ZERO if less than nothing were put in.

        What is available may fall below zero: then the next hold is refused.
        """
        ...

    async def set_limit(self, owner: str, account: Account, limit_nano: int) -> None:
        """Say what may be spent of an account in all, or `UNLIMITED`. What is held and used stays as it is."""
        ...

    async def balance(self, owner: str, account: Account) -> Balance:
        """The sums of one account."""
        ...

    async def state(self, owner: str, hold_id: str) -> State:
        """The state a hold is in, ABSENT also when it is no longer remembered."""
        ...
