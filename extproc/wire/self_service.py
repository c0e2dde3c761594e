"""What the holder of a key may ask about it, with the key itself: answered here, free, and as things are now."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol
from urllib.parse import parse_qsl

from extproc.core import identity
from extproc.core.identity import KeyRecord
from extproc.core.ledger import Ledger
from extproc.core.spendable import Spendable
from extproc.dialects import self_service
from extproc.dialects.routes import Asked, OwnKey
from extproc.dialects.self_service import Days, Totals
from extproc.errors import INVALID_REQUEST, Refusal


class UsageOfKeys(Protocol):
    """Where totals are known. Raises `LedgerUnavailable`."""

    async def totals(self, key: KeyRecord, from_ms: int, until_ms: int) -> Totals:
        """Those of one key's requests, all that have ended by now: from one moment on, and before another."""
        ...


@dataclass(frozen=True, slots=True)
class SelfService:
    """Answers with the ledger and the usage. Days and months begin by `zone`."""

    ledger: Ledger
    usage: UsageOfKeys
    zone: tzinfo

    async def answer(self, asked: OwnKey, key: KeyRecord, now_ms: int) -> bytes | Refusal:
        """The JSON, or why the question cannot be answered."""
        said = dict(parse_qsl(asked.query))
        match asked.about:
            case Asked.BALANCE:
                return self_service.balance(await self._spendable(key, now_ms), self._month(now_ms))
            case Asked.SUBSCRIPTION:
                return self_service.subscription(await self._spendable(key, now_ms))
            case Asked.USAGE:
                return await self._usage(key, said, now_ms)
            case Asked.BILLED:
                return await self._billed(key, said, now_ms)

    async def _usage(self, key: KeyRecord, said: Mapping[str, str], now_ms: int) -> bytes | Refusal:
        days = self._days(said, "from", "until", now_ms)
        if isinstance(days, Refusal):
            return days
        return self_service.usage(await self._totals(key, days), days, key)

    async def _billed(self, key: KeyRecord, said: Mapping[str, str], now_ms: int) -> bytes | Refusal:
        if not said.get("start_date") and not said.get("end_date"):
            return self_service.billed((await self._spendable(key, now_ms)).own_used_nano)
        days = self._days(said, "start_date", "end_date", now_ms)
        if isinstance(days, Refusal):
            return days
        return self_service.billed_daily(await self._totals(key, days), self.zone)

    async def _spendable(self, key: KeyRecord, now_ms: int) -> Spendable:
        accounts = key.accounts(self._month(now_ms))
        balances = await asyncio.gather(*(self.ledger.balance(key.owner, account) for account in accounts))
        return Spendable.of(key, dict(zip(accounts, balances, strict=True)))

    async def _totals(self, key: KeyRecord, days: Days) -> Totals:
        return await self.usage.totals(key, days.from_ms, days.until_ms)

    def _days(self, said: Mapping[str, str], first: str, last: str, now_ms: int) -> Days | Refusal:
        today = datetime.fromtimestamp(now_ms / 1000, self.zone).date()
        try:
            return Days.read(said.get(first, ""), said.get(last, ""), today, self.zone)
        except ValueError as error:
            return INVALID_REQUEST.saying(f"{error} '{first}' and '{last}' are days, both of which are counted.")

    def _month(self, now_ms: int) -> str:
        return identity.month_of(now_ms, self.zone)
