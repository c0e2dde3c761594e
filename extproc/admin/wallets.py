"""Wallets: what is in them, the statement, and entries by hand."""

import re

from extproc.admin import check
from extproc.admin.messages import entry_message, wallet_message
from extproc.admin.owners import known_owner
from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import invalid, not_found
from extproc.admin.rights import require_operator, require_wallet_seen
from extproc.core.ledger import Account, AccountKind, EntryKind, EntryResult, Outcome, WalletEntry
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.core.people import Principal
from extproc.store.usage import LAST, PAGE, wallet_page

MOST_REASON = 1000

_POSITION = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


class Wallets:
    """The verbs on wallets."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def get(self, principal: Principal, request: pb.GetWalletRequest) -> pb.Wallet:
        """What is in it now."""
        await self._require_seen(principal, request.owner)
        balance = await self._parts.ledger.balance(request.owner, Account(AccountKind.WALLET, request.owner))
        return wallet_message(request.owner, balance)

    async def entries(self, principal: Principal, request: pb.ListEntriesRequest) -> pb.ListEntriesResponse:
        """The statement, newest first."""
        size = check.page_size(request.page_size)
        before = _position(request.cursor)
        await self._require_seen(principal, request.owner)
        found = await wallet_page(self._parts.redis, request.owner, size + 1, before)
        page = found[:size]
        return pb.ListEntriesResponse(
            entries=[entry_message(entry) for _, entry in page],
            next_cursor=check.cursor(page[-1][0]) if len(found) > size else "",
        )

    async def enter(self, principal: Principal, request: pb.MakeEntryRequest) -> pb.MakeEntryResponse:
        """Once per reference; of a second one, what the first did."""
        require_operator(principal)
        await known_owner(self._parts, request.owner)
        result = await self._enter(principal, request)
        if result.outcome is Outcome.OVER_MAXIMUM:
            raise invalid(
                f"a wallet takes {MAX_ACCOUNT_NANO} nano-USD in all; {result.limit_nano} nano-USD were put in"
            )
        if result.outcome is Outcome.BELOW_ZERO:
            raise invalid(f"{result.limit_nano} nano-USD were put in in all, and no more can be taken out")
        entry = await self._entry(request.owner, request.reference)
        return pb.MakeEntryResponse(entry=entry_message(entry), repeated=result.outcome is Outcome.REPEATED)

    async def _enter(self, principal: Principal, request: pb.MakeEntryRequest) -> EntryResult:
        kind = check.one_of(EntryKind, request.kind, "kind")
        least = -MAX_ACCOUNT_NANO if kind is EntryKind.ADJUSTMENT else 1
        nano = check.money(request.amount_nano, "amount_nano", least)
        reference = check.text(request.reference, "reference")
        reason = check.text(request.reason, "reason", MOST_REASON).strip()
        if reason and kind is EntryKind.TOP_UP:
            raise invalid("a top-up has a reference, and no reason")
        if request.request_id and kind is not EntryKind.REFUND:
            raise invalid("request_id is the request that a refund is for")
        of, now_ms, who = request.owner, self._parts.now_ms(), principal.name
        ledger = self._parts.ledger
        match kind:
            case EntryKind.TOP_UP:
                return await ledger.top_up(of, nano, reference, now_ms, who=who)
            case EntryKind.BONUS:
                return await ledger.bonus(of, nano, reason, reference, now_ms, who=who)
            case EntryKind.REFUND:
                request_id = check.text(request.request_id, "request_id")
                return await ledger.refund(of, nano, reason, reference, now_ms, request_id, who=who)
            case EntryKind.ADJUSTMENT:
                return await ledger.adjust(of, nano, reason, reference, now_ms, who=who)

    async def _entry(self, owner: str, reference: str) -> WalletEntry:
        """The entry with this reference, which was made just now or is likely to be young."""
        before = LAST
        while page := await wallet_page(self._parts.redis, owner, PAGE, before):
            for _, entry in page:
                if entry.reference == reference:
                    return entry
            before = page[-1][0]
        raise not_found(f"the entry {reference!r} of {owner!r} is not in the log any more")

    async def _require_seen(self, principal: Principal, owner: str) -> None:
        await require_wallet_seen(self._parts, principal, owner)
        await known_owner(self._parts, owner)


def _position(cursor: str) -> str:
    """Where a page of the log begins."""
    found = check.position(cursor, 1)
    if found and not _POSITION.fullmatch(found[0]):
        raise invalid("cursor is not the next_cursor of a page")
    return found[0] if found else LAST
