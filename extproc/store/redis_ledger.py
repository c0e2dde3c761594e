"""The ledger in Redis: each verb is one script. What the scripts decide is specified by `MemoryLedger`."""

import json

from extproc.core.ledger import (
    ENTERED,
    KEEP_MS,
    SHORTFALL,
    SWEEPER,
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
    bucket_of,
)
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.core.rate import WINDOW_US
from extproc.store import keys, scripts
from extproc.store.connection import Connection

FORGET_MS = KEEP_MS + 3_600_000
"""How long Redis remembers an ended hold: an hour more than promised, as its clock is not that of the workers."""


class RedisLedger:
    """A `Ledger` over one connection."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def hold(self, hold: Hold) -> HoldResult:
        """Take the amount out of every account, or out of none."""
        bucket = bucket_of(hold.owner)
        now_us = hold.now_ms * 1000
        outcome, requests_us, tokens_us, *sums = await self._redis.script(
            scripts.HOLD,
            [
                keys.hold(bucket, hold.hold_id),
                keys.due(bucket),
                keys.key(bucket, hold.key_id),
                keys.owner(bucket, hold.owner),
                *(keys.account(bucket, account) for account in hold.accounts),
            ],
            [
                hold.hold_id,
                hold.owner,
                hold.key_id,
                hold.key_revision,
                hold.amount_nano,
                hold.deadline_ms,
                hold.record,
                MAX_ACCOUNT_NANO,
                hold.max_live,
                now_us,
                WINDOW_US,
                hold.requests.us,
                hold.tokens.us,
                hold.owner_revision,
                *(
                    word
                    for account in hold.accounts
                    for word in (SHORTFALL[account.kind], hold.default_limit_nano(account))
                ),
            ],
        )
        requests, tokens = hold.requests.level(int(requests_us), now_us), hold.tokens.level(int(tokens_us), now_us)
        if not sums:
            return HoldResult(Outcome(outcome), None, requests, tokens)
        limit_nano, held_nano, used_nano = map(int, sums)
        return HoldResult(Outcome(outcome), limit_nano - held_nano - used_nano, requests, tokens)

    async def end(self, end: End) -> EndResult:
        """Report an end: settle or release."""
        bucket = bucket_of(end.owner)
        outcome, state, charged_nano, late, before, more_nano = await self._redis.script(
            scripts.END,
            [
                keys.hold(bucket, end.hold_id),
                keys.due(bucket),
                keys.usage(bucket),
                *(keys.account(bucket, account) for account in end.accounts),
            ],
            [
                end.hold_id,
                end.owner,
                end.state.value,
                end.cost_nano,
                end.now_ms,
                end.deadline_ms + KEEP_MS,
                max(end.now_ms, end.deadline_ms) + FORGET_MS,
                end.deadline_ms,
                end.reporter,
                end.record,
                MAX_ACCOUNT_NANO,
                end.tokens_back_us,
            ],
        )
        return EndResult(Outcome(outcome), State(state), charged_nano, bool(late), State(before), more_nano)

    async def expire_due(self, bucket: int, now_ms: int, limit: int) -> list[str]:
        """Expire up to `limit` holds of one bucket whose deadline has passed, the oldest first; their ids."""
        expired: list[str] = await self._redis.script(
            scripts.EXPIRE_DUE,
            [keys.due(bucket), keys.usage(bucket)],
            [now_ms, limit, now_ms + FORGET_MS, keys.hold_prefix(bucket), SWEEPER],
        )
        return expired

    async def top_up(self, owner: str, amount_nano: int, reference: str, now_ms: int, *, who: str = "") -> EntryResult:
        """Put money into a wallet, once per reference."""
        return await self._enter(owner, NewEntry(EntryKind.TOP_UP, amount_nano, reference, now_ms, who=who))

    async def bonus(
        self, owner: str, amount_nano: int, reason: str, reference: str, now_ms: int, *, who: str = ""
    ) -> EntryResult:
        """Give money that nobody paid, once per reference."""
        return await self._enter(owner, NewEntry(EntryKind.BONUS, amount_nano, reference, now_ms, reason, who=who))

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
        return await self._enter(
            owner, NewEntry(EntryKind.REFUND, amount_nano, reference, now_ms, reason, request_id, who)
        )

    async def adjust(
        self, owner: str, amount_nano: int, reason: str, reference: str, now_ms: int, *, who: str = ""
    ) -> EntryResult:
        """Correct a wallet by hand, up or down, once per reference."""
        return await self._enter(owner, NewEntry(EntryKind.ADJUSTMENT, amount_nano, reference, now_ms, reason, who=who))

    async def set_limit(self, owner: str, account: Account, limit_nano: int) -> None:
        """Say what may be spent of an account in all, or `UNLIMITED`. What is held and used stays as it is."""
        await self._redis.execute("HSET", keys.account(bucket_of(owner), account), "limit", limit_nano)

    async def balance(self, owner: str, account: Account) -> Balance:
        """The sums of one account."""
        name = keys.account(bucket_of(owner), account)
        sums = await self._redis.execute("HMGET", name, "limit", "held", "used")
        return Balance(*(int(nano or 0) for nano in sums))

    async def state(self, owner: str, hold_id: str) -> State:
        """The state a hold is in, ABSENT also when it is no longer remembered."""
        known = await self._redis.execute("HGET", keys.hold(bucket_of(owner), hold_id), "state")
        return State(int(known or 0))

    async def _enter(self, owner: str, new: NewEntry) -> EntryResult:
        bucket = bucket_of(owner)
        outcome, limit_nano = await self._redis.script(
            scripts.ENTER,
            [
                keys.account(bucket, Account(AccountKind.WALLET, owner)),
                keys.references(bucket, owner),
                keys.entries(bucket, owner),
                keys.changes(bucket),
            ],
            [
                new.amount_nano,
                new.reference,
                new.now_ms,
                MAX_ACCOUNT_NANO,
                new.kind,
                new.reason,
                new.request_id,
                ENTERED[new.kind],
                new.who,
                f"wallet.{new.kind}",
                owner,
                json.dumps(_said(new), ensure_ascii=False).removeprefix("{"),
            ],
        )
        return EntryResult(Outcome(outcome), int(limit_nano))


def _said(new: NewEntry) -> dict[str, object]:
    """What the log of changes has of an entry beside the wallet's limit."""
    said = {"amount_nano": new.amount_nano, "reference": new.reference}
    return said | {name: text for name, text in (("reason", new.reason), ("request_id", new.request_id)) if text}
