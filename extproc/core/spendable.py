"""What a key may still spend, and because of which of its accounts.

A key of a team draws on a wallet that is not its holder's: of that the holder learns only whether it is exhausted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from extproc.core.identity import KeyRecord
from extproc.core.ledger import UNLIMITED, Account, AccountKind, Balance


@dataclass(frozen=True)
class Spendable:
    """The accounts of a key in the order in which they may refuse, each with its sums."""

    key: KeyRecord
    balances: Mapping[AccountKind, Balance]

    @classmethod
    def of(cls, key: KeyRecord, read: Mapping[Account, Balance]) -> "Spendable":
        """With the sums as they were read. The limit of a month is the key's, as in a hold: no account keeps it."""
        month_nano = key.month_limit_nano or UNLIMITED
        balances = {account.kind: balance for account, balance in read.items()}
        balances[AccountKind.KEY_MONTH] = replace(balances[AccountKind.KEY_MONTH], limit_nano=month_nano)
        return cls(key, balances)

    @property
    def hides_wallet(self) -> bool:
        """Whether the wallet is not the holder's own."""
        return bool(self.key.team)

    @property
    def exhausted(self) -> bool:
        """Whether the wallet has nothing left."""
        left_nano = self.balances[AccountKind.WALLET].available_nano
        return left_nano is not None and left_nano <= 0

    @cached_property
    def tightest(self) -> tuple[AccountKind, int] | None:
        """The account that allows least, and what it allows; None when none has a limit. Below 0 after an overrun."""
        return min(self._limits(), key=lambda limit: limit[1], default=None)

    @property
    def available_nano(self) -> int | None:
        """What the key may still spend, as far as its holder may know; None for no limit."""
        return self.tightest[1] if self.tightest else None

    @property
    def own_used_nano(self) -> int:
        """What the key itself has used of what the tightest account counts: this month's or, else, all it ever did."""
        of_month = self.tightest is not None and self.tightest[0] is AccountKind.KEY_MONTH
        return self.balances[AccountKind.KEY_MONTH if of_month else AccountKind.KEY].used_nano

    def _limits(self) -> Iterator[tuple[AccountKind, int]]:
        for kind, balance in self.balances.items():
            if kind is AccountKind.WALLET and self.hides_wallet:
                if self.exhausted:
                    yield kind, 0
            elif balance.available_nano is not None:
                yield kind, balance.available_nano
