"""Recomputing what a request was charged: its recorded usage, at the rates of the revision that priced it."""

from collections.abc import Iterable
from dataclasses import dataclass

from extproc.core.audit import Priced, Prices, charge_nano
from extproc.core.ledger import State, UsageEntry
from extproc.core.record import UsageRecord


@dataclass(frozen=True, slots=True)
class Repriced:
    """What a request was charged in all, and what it should have been.

    `priced` is what its revision prices it by, None where that serves no such request. `recomputed_nano` is None where
    the revision is unknown, or prices no such request.
    """

    record: UsageRecord
    state: State
    charged_nano: int
    known: bool
    priced: Priced | None
    recomputed_nano: int | None

    @property
    def differs(self) -> bool:
        """Whether the charge is not what its revision says; without the revision there is no telling."""
        return self.known and self.recomputed_nano != self.charged_nano


def reprice(prices: Prices, charged: Iterable[tuple[UsageEntry, UsageRecord | None]]) -> Repriced | None:
    """All that one request was charged, entry by entry, recomputed from the last record; None when it has none."""
    last, total_nano = None, 0
    for entry, record in charged:
        total_nano += entry.cost_nano
        last = (entry.state, record) if record else last
    if last is None:
        return None
    state, of = last
    catalog = prices.catalog(of.revision)
    priced = prices.priced(catalog, of) if catalog else None
    if not state.settled:
        return Repriced(of, state, total_nano, True, priced, 0)
    recomputed_nano = charge_nano(state, of, priced.rates, priced.multiplier_ppm) if priced else None
    return Repriced(of, state, total_nano, catalog is not None, priced, recomputed_nano)
