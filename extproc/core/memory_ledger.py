"""The ledger in plain Python: the specification to read, the fake for tests, the oracle for the one in Redis.

Each verb reads, checks in the fixed order of precedence, and then only writes. It never forgets an ended hold, where
the one in Redis does some time after `KEEP_MS`; up to then the two answer alike.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

from extproc.core.identity import KeyRecord, KeyStatus, OwnerRecord
from extproc.core.ledger import (
    ENTERED,
    KEEP_MS,
    SHORTFALL,
    SWEEPER,
    UNLIMITED,
    Account,
    AccountKind,
    Balance,
    End,
    EndResult,
    EntryKind,
    EntryResult,
    Hold,
    HoldResult,
    NewEntry,
    Outcome,
    State,
    UsageEntry,
    WalletEntry,
    bucket_of,
)
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.core.rate import WINDOW_US


@dataclass(slots=True)
class _Minute:
    """When the buckets of a key's minute will be empty, in µs."""

    requests_us: int = 0
    tokens_us: int = 0


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is remembered of a hold; `asked` is None when its end came first."""

    asked: Hold | None = None
    state: State = State.ABSENT
    charged_nano: int = 0


class MemoryLedger:
    """A `Ledger` in a few dictionaries. `usage_log` and `wallet_log` (by owner) are what Redis keeps in streams."""

    def __init__(self) -> None:
        self.usage_log: list[UsageEntry] = []
        self.wallet_log: dict[str, list[WalletEntry]] = {}
        self._keys: dict[tuple[int, str], KeyRecord] = {}
        self._owners: dict[str, OwnerRecord] = {}
        self._holds: dict[tuple[int, str], _Kept] = {}
        self._minutes: defaultdict[tuple[int, str], _Minute] = defaultdict(_Minute)
        self._balances: dict[tuple[int, Account], Balance] = {}

    def put_key(self, key: KeyRecord) -> None:
        """Store a key or its next revision, with its cap, and open the accounts of its context."""
        bucket = bucket_of(key.owner)
        for account in key.quotas:
            if (bucket, account) not in self._balances:
                self._change(bucket, account, limit_nano=UNLIMITED)
        self._keys[bucket, key.key_id] = key
        self._change(bucket, Account(AccountKind.KEY, key.key_id), limit_nano=key.cap_nano or UNLIMITED)
        self._change(bucket, Account(AccountKind.WALLET, key.owner))

    def put_owner(self, owner: OwnerRecord) -> None:
        """Store what is said of an owner, or its next revision."""
        self._owners[owner.owner] = owner

    async def hold(self, hold: Hold) -> HoldResult:
        """Take the amount out of every account, or out of none."""
        bucket = bucket_of(hold.owner)
        checks = (self._repetition, self._key_refusal, self._crowd, self._haste, self._shortfall)
        refusal = next((refusal for check in checks if (refusal := check(bucket, hold)) is not None), None)
        if refusal is not None:
            return self._with_levels(refusal, bucket, hold)
        # After this point the hold must succeed.
        self._holds[bucket, hold.hold_id] = _Kept(hold, State.HELD)
        self._move(bucket, hold.accounts, held_nano=hold.amount_nano)
        minute, now_us = self._minutes[bucket, hold.key_id], hold.now_ms * 1000
        if hold.requests.us:
            minute.requests_us = max(minute.requests_us, now_us) + hold.requests.us
        if hold.tokens.us:
            minute.tokens_us = max(minute.tokens_us, now_us) + hold.tokens.us
        return self._with_levels(HoldResult(Outcome.HELD), bucket, hold)

    async def end(self, end: End) -> EndResult:
        """Report an end: settle or release."""
        bucket = bucket_of(end.owner)
        known = self._holds.get((bucket, end.hold_id), _Kept())
        late = known.state in (State.ABSENT, State.EXPIRED)
        more_nano = end.cost_nano - known.charged_nano
        refusal = self._end_refusal(bucket, known, end)
        if refusal is not None:
            return EndResult(refusal, known.state, known.charged_nano, late, known.state)
        # After this point the end must succeed.
        if known.state is State.HELD and known.asked is not None:
            self._move(bucket, known.asked.accounts, held_nano=-known.asked.amount_nano)
            self._minutes[bucket, known.asked.key_id].tokens_us -= end.tokens_back_us
        self._move(bucket, end.accounts, used_nano=more_nano)
        self._holds[bucket, end.hold_id] = replace(known, state=end.state, charged_nano=end.cost_nano)
        self.usage_log.append(
            UsageEntry(end.hold_id, end.owner, end.state, end.reporter, more_nano, late, end.now_ms, end.record)
        )
        return EndResult(Outcome.ENDED, end.state, end.cost_nano, late, known.state, more_nano)

    async def expire_due(self, bucket: int, now_ms: int, limit: int) -> list[str]:
        """Expire up to `limit` holds of one bucket whose deadline has passed, the oldest first; their ids."""
        live = [
            kept.asked
            for (place, _), kept in self._holds.items()
            if place == bucket and kept.state is State.HELD and kept.asked is not None
        ]
        due = sorted((hold.deadline_ms, hold.hold_id, hold) for hold in live if hold.deadline_ms <= now_ms)[:limit]
        for _, hold_id, hold in due:
            self._move(bucket, hold.accounts, held_nano=-hold.amount_nano)
            self._holds[bucket, hold_id] = _Kept(hold, State.EXPIRED)
            self.usage_log.append(
                UsageEntry(hold_id, hold.owner, State.EXPIRED, SWEEPER, 0, False, now_ms, hold.record)
            )
        return [hold_id for _, hold_id, _ in due]

    async def top_up(self, owner: str, amount_nano: int, reference: str, now_ms: int, *, who: str = "") -> EntryResult:
        """Put money into a wallet, once per reference."""
        return self._enter(owner, NewEntry(EntryKind.TOP_UP, amount_nano, reference, now_ms, who=who))

    async def bonus(
        self, owner: str, amount_nano: int, reason: str, reference: str, now_ms: int, *, who: str = ""
    ) -> EntryResult:
        """Give money that nobody paid, once per reference."""
        return self._enter(owner, NewEntry(EntryKind.BONUS, amount_nano, reference, now_ms, reason, who=who))

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
        """Put money back into a wallet because of an earlier charge, once per reference."""
        return self._enter(owner, NewEntry(EntryKind.REFUND, amount_nano, reference, now_ms, reason, request_id, who))

    async def adjust(
        self, owner: str, amount_nano: int, reason: str, reference: str, now_ms: int, *, who: str = ""
    ) -> EntryResult:
        """Correct a wallet by hand, up or down, once per reference."""
        return self._enter(owner, NewEntry(EntryKind.ADJUSTMENT, amount_nano, reference, now_ms, reason, who=who))

    async def set_limit(self, owner: str, account: Account, limit_nano: int) -> None:
        """Say what may be spent of an account in all, or `UNLIMITED`. What is held and used stays as it is."""
        self._change(bucket_of(owner), account, limit_nano=limit_nano)

    async def balance(self, owner: str, account: Account) -> Balance:
        """The sums of one account."""
        return self._balances.get((bucket_of(owner), account), Balance())

    async def state(self, owner: str, hold_id: str) -> State:
        """The state a hold is in."""
        return self._holds.get((bucket_of(owner), hold_id), _Kept()).state

    def _enter(self, owner: str, new: NewEntry) -> EntryResult:
        wallet = Account(AccountKind.WALLET, owner)
        limit_nano = self._balances.get((bucket_of(owner), wallet), Balance()).limit_nano
        entries = self.wallet_log.setdefault(owner, [])
        first = next((entry for entry in entries if entry.reference == new.reference), None)
        if first is not None:
            return EntryResult(Outcome.REPEATED, first.limit_nano)
        if limit_nano == UNLIMITED or limit_nano + new.amount_nano > MAX_ACCOUNT_NANO:
            return EntryResult(Outcome.OVER_MAXIMUM, limit_nano)
        if limit_nano + new.amount_nano < 0:
            return EntryResult(Outcome.BELOW_ZERO, limit_nano)
        # After this point the entry must succeed.
        limit_nano += new.amount_nano
        self._change(bucket_of(owner), wallet, limit_nano=limit_nano)
        entries.append(
            WalletEntry(new.reference, new.amount_nano, limit_nano, new.now_ms, new.kind, new.reason, new.request_id)
        )
        return EntryResult(ENTERED[new.kind], limit_nano)

    def _repetition(self, bucket: int, hold: Hold) -> HoldResult | None:
        known = self._holds.get((bucket, hold.hold_id))
        if known is None:
            return None
        same = (
            known.state is State.HELD
            and known.asked is not None
            and (known.asked.amount_nano, known.asked.key_id) == (hold.amount_nano, hold.key_id)
        )
        return HoldResult(Outcome.EXISTS if same else Outcome.EXISTS_DIFFERENT)

    def _key_refusal(self, bucket: int, hold: Hold) -> HoldResult | None:
        key = self._keys.get((bucket, hold.key_id))
        if key is None or key.status is not KeyStatus.ACTIVE:
            return HoldResult(Outcome.KEY_DISABLED)
        owner = self._owners.get(hold.owner, OwnerRecord(hold.owner))
        if (key.revision, owner.revision) != (hold.key_revision, hold.owner_revision):
            return HoldResult(Outcome.KEY_STALE)
        return None

    def _crowd(self, bucket: int, hold: Hold) -> HoldResult | None:
        kept = (kept for (place, _), kept in self._holds.items() if place == bucket and kept.state is State.HELD)
        live = sum(1 for one in kept if one.asked is not None and one.asked.key_id == hold.key_id)
        return HoldResult(Outcome.CONCURRENCY) if live >= hold.max_live else None

    def _haste(self, bucket: int, hold: Hold) -> HoldResult | None:
        """What is larger than a whole minute passes when nothing else was asked for lately."""
        minute, now_us = self._minutes[bucket, hold.key_id], hold.now_ms * 1000
        draws = (
            (Outcome.REQUESTS_PER_MINUTE, hold.requests, minute.requests_us),
            (Outcome.TOKENS_PER_MINUTE, hold.tokens, minute.tokens_us),
        )
        for refusal, draw, empty_at_us in draws:
            if draw.us and max(empty_at_us - now_us, 0) + min(draw.us, WINDOW_US) > WINDOW_US:
                return HoldResult(refusal)
        return None

    def _with_levels(self, result: HoldResult, bucket: int, hold: Hold) -> HoldResult:
        minute, now_us = self._minutes[bucket, hold.key_id], hold.now_ms * 1000
        requests = hold.requests.level(minute.requests_us, now_us)
        return replace(result, requests=requests, tokens=hold.tokens.level(minute.tokens_us, now_us))

    def _shortfall(self, bucket: int, hold: Hold) -> HoldResult | None:
        """Unlimited ends at what can be counted exactly. What costs nothing needs nothing, not even a balance of 0."""
        for account in hold.accounts:
            sums = self._balances.get((bucket, account), Balance())
            own_nano = hold.month_limit_nano if account.kind is AccountKind.KEY_MONTH else sums.limit_nano
            limit_nano = MAX_ACCOUNT_NANO if own_nano == UNLIMITED else own_nano
            available_nano = limit_nano - sums.held_nano - sums.used_nano
            if 0 < hold.amount_nano > available_nano:
                return HoldResult(SHORTFALL[account.kind], available_nano)
        return None

    def _end_refusal(self, bucket: int, known: _Kept, end: End) -> Outcome | None:
        if known.state is State.ABSENT and end.now_ms > end.deadline_ms + KEEP_MS:
            return Outcome.TOO_LATE
        if end.state < known.state:
            return Outcome.UNCHANGED
        if end.state == known.state:
            return Outcome.UNCHANGED if end.cost_nano == known.charged_nano else Outcome.DISAGREES
        used_nano = [self._balances.get((bucket, account), Balance()).used_nano for account in end.accounts]
        if any(used + end.cost_nano - known.charged_nano > MAX_ACCOUNT_NANO for used in used_nano):
            return Outcome.OVER_MAXIMUM
        return None

    def _move(self, bucket: int, accounts: tuple[Account, ...], held_nano: int = 0, used_nano: int = 0) -> None:
        for account in accounts:
            sums = self._balances.get((bucket, account), Balance())
            self._change(bucket, account, held_nano=sums.held_nano + held_nano, used_nano=sums.used_nano + used_nano)

    def _change(self, bucket: int, account: Account, **sums_nano: int) -> None:
        before = self._balances.get((bucket, account), Balance())
        self._balances[bucket, account] = replace(before, **sums_nano)
