"""The fault wall: every part is killed while requests are at every point; then charges are compared with the truth.

One strike: requests are brought to a point and kept there, a part is killed, all parts come back, what waits goes on.
After all strikes, when nothing more is reported, the sweeper is run as if every deadline had passed, and each request's
charge is compared with the price of what the vendor really put on the wire.

How requests are kept at a point, without a clock:

    before hold     Redis is frozen, and Envoy has sent their headers and bodies to the sidecar
    after hold      the vendor waits before its headers
    mid-answer      the vendor waits after N chunks, which have reached the caller
    last byte       the vendor waits before the mark of the message's end; the caller has all else
    before settle   the sidecar is frozen (for the strike on Redis: Redis is), and the caller has the whole answer
"""

import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product

from extproc.core.ledger import HOLD_MS
from extproc.store.sweeper import sweep
from extproc.supervisor import QUICK_DEATHS, QUICK_SECONDS
from tests.e2e.harness import Customer, Gateway, eventually
from tests.faults.callers import Caller, Callers
from tests.faults.mix import Asked, Point, clean, requests, unknown_model
from tests.faults.parts import (
    PROCESS,
    REDIS_PROCESS,
    WORKER_PROCESS,
    Part,
    asked_sidecar,
    await_reports,
    frozen,
    kill,
    lessons,
    paused,
    recover,
    resume,
)
from tests.faults.truth import Charge, VendorLog, charges

REACH_SECONDS = 30.0
LOT = 60
"""Clean requests at a time."""

GREETINGS = 24
"""Refused requests that make every worker know the key, so that the next ones wait for their hold and nothing else."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of the matrix."""

    part: Part
    point: Point

    def __str__(self) -> str:
        return f"{self.part}, {self.point}"


MATRIX = [Cell(part, point) for point, part in product(Point, Part)]
"""A part is struck again only after all others have been."""

_NOTHING_SENT = (Point.BEFORE_HOLD, Point.AFTER_HOLD)
EXACT = {
    *product((Part.SIDECAR, Part.WORKER, Part.REDIS), Point),
    *product((Part.ENVOY,), _NOTHING_SENT),
    *product((Part.VENDOR, Part.CLIENT_FIN, Part.CLIENT_RST), (*_NOTHING_SENT, Point.BEFORE_SETTLE)),
}
"""Where the charge must be what was produced, to the nano: no answer is cut, and no report can be lost."""

SHOWN = 3
"""Overcharged requests that are named, of each cell."""


@dataclass(slots=True)
class Row:
    """What became of the requests of one cell; sums in nano-USD."""

    requests: int = 0
    whole: int = 0
    charged: int = 0
    expired: int = 0
    overcharged: int = 0
    charged_nano: int = 0
    overcharge_nano: int = 0
    undercharge_nano: int = 0

    @property
    def failed(self) -> int:
        """Those whose caller did not get a whole 2xx answer."""
        return self.requests - self.whole


@dataclass(frozen=True, slots=True)
class Strike:
    """One strike that is over. `asked` are the requests that the vendor has begun to answer."""

    cell: Cell
    customer: Customer
    callers: list[Caller]
    asked: frozenset[str]


@dataclass(slots=True)
class Wall:
    """A gateway to be struck, and what was seen: what is wrong by cell."""

    gateway: Gateway
    callers: Callers
    vendor: VendorLog
    draw: random.Random
    rows: dict[Cell, Row] = field(default_factory=lambda: defaultdict(Row))
    wrong: dict[Cell, list[str]] = field(default_factory=lambda: defaultdict(list))
    _strikes: list[Strike] = field(default_factory=list)
    _kills: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=QUICK_DEATHS - 1)))

    def warm_up(self, count: int) -> None:
        """Clean requests of the same mix, in lots, until the workers have shared what they learn to estimate by."""
        customer, asked = self.gateway.customer(usd="1000"), []
        for _ in range(0, count, LOT):
            asked += self._sent(clean(customer.key, LOT, self.draw))
        assert all(caller.whole and caller.status == 200 for caller in asked), "a clean request failed"
        self.gateway.settled(customer, count)
        eventually(lambda: lessons(self.gateway) >= 2 * count, "a prompt and an answer of each to be learned from")

    def strike(self, cell: Cell, count: int) -> None:
        """Strike once while so many requests are at the cell's point, and wait until all parts are well again."""
        anybody, customer = (self.gateway.customer(usd="1000", max_live=2 * count) for _ in range(2))
        known = self.vendor.produced_nano().keys()
        eventually(lambda: self._may_kill(cell.part), f"{cell.part} to be killed again")
        self._greet(customer)
        callers = self._struck(cell, customer, count)
        recover(self.gateway, anybody)
        eventually(lambda: self._all_over(callers), f"{cell}: the callers to be over", REACH_SECONDS)
        self.callers.leave(callers)
        asked = frozenset(self.vendor.produced_nano().keys() - known)
        self._strikes.append(Strike(cell, customer, callers, asked))

    def close(self) -> None:
        """Wait for the reports of all strikes, expire what nobody reports, and compare each request with the truth."""
        customers = [strike.customer for strike in self._strikes]
        await_reports(self.gateway, customers)
        self.gateway.on_ledger(lambda ledger: sweep(ledger, time.time_ns() // 1_000_000 + HOLD_MS + 1))
        produced = self.vendor.produced_nano()
        for strike in self._strikes:
            self._compare(strike, produced)
        for cell, row in self.rows.items():
            if row.undercharge_nano and (cell.part, cell.point) in EXACT:
                self.wrong[cell].append(f"{row.undercharge_nano} nano were not charged, where nothing may be lost")

    # --- Bringing requests to their point, and striking ---------------------------------------------------------------

    def _greet(self, customer: Customer) -> None:
        self._sent([unknown_model(customer.key)] * GREETINGS)

    def _sent(self, asked: list[bytes]) -> list[Caller]:
        """Requests that nothing happens to, over."""
        callers = self.callers.send(self.gateway.settings.edge.port, asked)
        eventually(lambda: all(caller.over for caller in callers), "undisturbed requests to be over", REACH_SECONDS)
        self.callers.leave(callers)
        return callers

    def _struck(self, cell: Cell, customer: Customer, count: int) -> list[Caller]:
        asked = requests(customer.key, count, cell.point, self.draw)
        if cell.point is Point.BEFORE_HOLD:
            return self._struck_before_hold(cell, asked)
        callers = self._send(asked)
        self._reach(cell, lambda: paused(self.gateway) == sum(each.waits for each in asked))
        self._reach(cell, lambda: all(_is_there(*pair) for pair in zip(asked, callers, strict=True)))
        if cell.point is not Point.BEFORE_SETTLE:
            self._hit(cell.part, callers)
            return callers
        with frozen(self.gateway, REDIS_PROCESS if cell.part is Part.REDIS else WORKER_PROCESS):
            resume(self.gateway)
            self._reach(cell, lambda: all(caller.whole for caller in callers))
            self._hit(cell.part, callers)
        return callers

    def _struck_before_hold(self, cell: Cell, asked: list[Asked]) -> list[Caller]:
        """A worker that waits for Redis too long refuses: who has been refused is not waited for."""
        before = asked_sidecar(self.gateway)
        with frozen(self.gateway, REDIS_PROCESS):
            callers = self._send(asked)

            def there() -> bool:
                refused = sum(caller.over for caller in callers)
                return asked_sidecar(self.gateway) - before >= 2 * (len(asked) - refused)

            self._reach(cell, there)
            self._hit(cell.part, callers)
        return callers

    def _send(self, asked: list[Asked]) -> list[Caller]:
        return self.callers.send(self.gateway.settings.edge.port, [each.request for each in asked])

    def _reach(self, cell: Cell, there: Callable[[], bool]) -> None:
        eventually(there, f"all requests to be at {cell.point}", REACH_SECONDS)

    def _hit(self, part: Part, callers: list[Caller]) -> None:
        if part in (Part.CLIENT_FIN, Part.CLIENT_RST):
            self.callers.leave(callers, reset=part is Part.CLIENT_RST)
        else:
            kill(self.gateway, part)
            self._kills[PROCESS[part]].append(time.monotonic())

    def _may_kill(self, part: Part) -> bool:
        """`tollgate up` gives up on a child that dies so often in so short a time."""
        kills = self._kills[PROCESS.get(part, "")]
        return len(kills) < QUICK_DEATHS - 1 or time.monotonic() - kills[0] > QUICK_SECONDS

    def _all_over(self, callers: list[Caller]) -> bool:
        resume(self.gateway)
        return all(caller.over for caller in callers)

    # --- Afterwards ---------------------------------------------------------------------------------------------------

    def _compare(self, strike: Strike, produced: Mapping[str, int]) -> None:
        row, charged = self.rows[strike.cell], charges(self.gateway.usage(strike.customer))
        row.requests += len(strike.callers)
        row.whole += sum(caller.whole and caller.status == 200 for caller in strike.callers)
        row.charged += sum(charge.nano > 0 for charge in charged.values())
        row.expired += sum(charge.state == "EXPIRED" for charge in charged.values())
        for request_id in charged.keys() | strike.asked:
            self._compare_one(strike.cell, request_id, charged.get(request_id, Charge()), produced.get(request_id, 0))
        wallet, used_nano = self.gateway.wallet(strike.customer), sum(charge.nano for charge in charged.values())
        if (wallet.held_nano, wallet.used_nano) != (0, used_nano):
            self.wrong[strike.cell].append(f"{used_nano} nano were charged and nothing may be held, but: {wallet}")

    def _compare_one(self, cell: Cell, request_id: str, charge: Charge, produced_nano: int) -> None:
        row = self.rows[cell]
        row.charged_nano += charge.nano
        more = charge.nano - produced_nano
        if more <= 0:
            row.undercharge_nano -= more
            return
        row.overcharge_nano += more
        row.overcharged += 1
        if row.overcharged <= SHOWN:
            self.wrong[cell].append(f"{request_id} was charged {charge} for what costs {produced_nano}")


def _is_there(asked: Asked, caller: Caller) -> bool:
    return asked.marker in caller.body if asked.waits else caller.whole
