"""The rules of the audit: what every sum of a bucket must be, by what its log and its live holds say.

limit of a wallet      = Σ its entries: top-ups, bonuses, refunds, adjustments
used of an account     = Σ the costs of the usage entries whose record names it; a correction is the difference;
                         and what is carried of entries that were removed
held of an account     = Σ the amounts of the live holds on it
live of a key          = the number of its live holds
cost in a record       = its usage × rates × multiplier; of a partial or estimated one at most the hold
rates, multiplier …    = those of the configuration that its revision names
the costs of one id    = the cost of its last record: no request was charged twice
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from extproc.core.catalog import Catalog, Operation
from extproc.core.chain import attempt_over
from extproc.core.ledger import KEEP_MS, TASK_MS, Account, AccountKind, Balance, State, UsageEntry
from extproc.core.pricing import Rates, cost_nano
from extproc.core.quote import terms_of
from extproc.core.record import UsageRecord

REMEMBERED_MS = TASK_MS + 2 * KEEP_MS
"""How far apart two entries of one request can be: the ledger itself has forgotten it by then."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not what it must be. `what` names the account or request and the sum."""

    owner: str
    what: str
    expected: int | str
    found: int | str

    def __str__(self) -> str:
        return f"{self.owner}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class LiveHold:
    """A hold that waits for its end. `held` is False where only its deadline is left."""

    hold_id: str
    owner: str
    key_id: str
    amount_nano: int
    accounts: tuple[Account, ...]
    held: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One bucket at one moment: accounts, live counts by key id, holds, and what was put into each owner's wallet."""

    balances: Mapping[Account, Balance]
    live: Mapping[str, int]
    holds: Sequence[LiveHold]
    put_in_nano: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Prices:
    """What the configurations say that the terms in a record must be.

    `catalog` finds the configuration of a revision; records whose revision it does not know are only counted, in
    `unknown`. `operations` are by name.
    """

    catalog: Callable[[str], Catalog | None]
    operations: Mapping[str, Operation]
    unknown: Counter[str] = field(default_factory=Counter)

    def differences(self, entry: UsageEntry, record: UsageRecord) -> Iterator[Difference]:
        """Whether the terms of a settled record are those of its revision."""
        catalog = self.catalog(record.revision)
        if catalog is None:
            self.unknown[record.revision] += 1
            return
        expected, found = (
            self._expected(catalog, record),
            _terms(record.vendor_model, record.rates, record.multiplier_ppm),
        )
        if expected != found:
            yield Difference(entry.owner, f"request {entry.hold_id} terms", expected, found)

    def _expected(self, catalog: Catalog, record: UsageRecord) -> str:
        priced = self.priced(catalog, record)
        if priced is None:
            return f"none in {record.revision}"
        return _terms(priced.vendor_model, priced.rates, priced.multiplier_ppm)

    def priced(self, catalog: Catalog, record: UsageRecord) -> "Priced | None":
        """What this configuration prices the record's request by; None where it serves no such request."""
        operation = self.operations.get(record.operation)
        if operation is None or record.channel is None:
            return None
        attempt = attempt_over(catalog, record.group, record.channel, record.model, operation)
        terms = terms_of(catalog.models[record.model], operation, record.said, record.time_ms) if attempt else None
        if attempt is None or terms is None:
            return None
        return Priced(attempt.vendor_model, terms.rates_for(record.usage.input_tokens), attempt.multiplier_ppm)


@dataclass(frozen=True, slots=True)
class Priced:
    """The terms of one request: which model of the vendor's, at which rates, times which multiplier."""

    vendor_model: str
    rates: Rates
    multiplier_ppm: int


class Tally:
    """What the log of one bucket adds up to. Keeps two numbers per account, and one per request of the last days.

    Without `prices` the terms in records are taken as they are.
    """

    def __init__(self, prices: Prices | None = None) -> None:
        self.owners: dict[Account, str] = {}
        self.records = 0
        self._used_nano: Counter[Account] = Counter()
        self._charged: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._differences: list[Difference] = []
        self._prices = prices

    def expect(self, owner: str, accounts: Iterable[Account]) -> None:
        """These accounts are the owner's, and must be looked at."""
        for account in accounts:
            self.owners.setdefault(account, owner)

    def carry(self, carried: Mapping[tuple[str, Account], int]) -> None:
        """What entries that are not in the log any more have charged, by owner and account."""
        for (owner, account), nano in carried.items():
            self.expect(owner, [account])
            self._used_nano[account] += nano

    def add(self, written_ms: int, entry: UsageEntry, record: UsageRecord | None) -> None:
        """The next entry of the log, written at this time, with its record if it has one that can be read."""
        self.records += 1
        charged = self._charged.pop(entry.hold_id, (0, 0))[1] + entry.cost_nano
        self._charged[entry.hold_id] = (written_ms, charged)
        self._forget(written_ms - REMEMBERED_MS)
        self._differences += _entry_differences(entry, record, charged)
        if record is not None:
            self.expect(entry.owner, record.accounts)
            self._used_nano.update(dict.fromkeys(record.accounts, entry.cost_nano))
            if self._prices is not None:
                self._differences += self._prices.differences(entry, record)

    def differences(self, found: Snapshot) -> list[Difference]:
        """All that is wrong with the log up to the moment of this snapshot, and with the sums in it."""
        held = [hold for hold in found.holds if hold.held]
        held_nano, live = Counter[Account](), Counter(hold.key_id for hold in held)
        for hold in held:
            held_nano.update(dict.fromkeys(hold.accounts, hold.amount_nano))
        sums = [
            *((hold.owner, f"request {hold.hold_id} hold", "held", "gone") for hold in found.holds if not hold.held),
            *self._sums(found, held_nano),
            *(
                (self.owners[Account(AccountKind.KEY, key_id)], f"key {key_id} live", live[key_id], count)
                for key_id, count in found.live.items()
            ),
        ]
        return self._differences + [Difference(*each) for each in sums if each[2] != each[3]]

    def _sums(
        self, found: Snapshot, held_nano: Mapping[Account, int]
    ) -> Iterator[tuple[str, str, int | str, int | str]]:
        for account, balance in found.balances.items():
            owner, name = self.owners[account], f"{account.kind} {account.name}"
            yield owner, f"{name} used", self._used_nano[account], balance.used_nano
            yield owner, f"{name} held", held_nano[account], balance.held_nano
            if account.kind is AccountKind.WALLET:
                yield owner, f"{name} limit", found.put_in_nano[account.name], balance.limit_nano

    def _forget(self, before_ms: int) -> None:
        while self._charged and next(iter(self._charged.values()))[0] < before_ms:
            self._charged.popitem(last=False)


def _entry_differences(entry: UsageEntry, record: UsageRecord | None, charged_nano: int) -> Iterator[Difference]:
    what = f"request {entry.hold_id}"
    if not entry.state.settled:
        if charged_nano:
            yield Difference(entry.owner, f"{what} charged", 0, charged_nano)
    elif record is None:
        yield Difference(entry.owner, f"{what} record", "one", "none")
    else:
        expected = _price(entry.state, record)
        if record.cost_nano != expected:
            yield Difference(entry.owner, f"{what} cost", expected, record.cost_nano)
        if charged_nano != expected:
            yield Difference(entry.owner, f"{what} charged", expected, charged_nano)


def _price(state: State, record: UsageRecord) -> int:
    if record.rates is None or record.multiplier_ppm is None:
        return 0
    return charge_nano(state, record, record.rates, record.multiplier_ppm)


def charge_nano(state: State, record: UsageRecord, rates: Rates, multiplier_ppm: int) -> int:
    """What its usage costs at these rates: nothing if it is not settled, at most its hold if nobody counted."""
    if not state.settled:
        return 0
    cost = cost_nano(record.usage, rates, multiplier_ppm, record.discount_ppm)
    return cost if state is State.REPORTED else min(cost, record.hold_nano)


def _terms(vendor_model: str | None, rates: Rates | None, multiplier_ppm: int | None) -> str:
    """In nano-USD per million tokens of each class, and millionths."""
    told = ", ".join(f"{name} {nano}" for name, nano in asdict(rates).items() if nano) or "free" if rates else "none"
    return f"{vendor_model} at {told} × {multiplier_ppm}"
