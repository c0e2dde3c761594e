"""Tasks: what a vendor makes after it has answered, and what is asked for by its id until it is there.

    the answer to the request        2xx, with an id, written down     its hold stays, for up to `TASK_MS`
                                     anything else                     released, as any request that failed
    an answer about the task         it is done                        settled, at the quote of the request
                                     its content                       the same, before the caller gets a byte of it
                                     it failed, or it is deleted       released; once settled it stays settled
                                     anything else                     nothing moves
    nobody asks                                                        the hold expires at its deadline

A question about a task is free, and goes to the channel that made it. Whoever has a key of the same owner and team may
ask; to anybody else the task is not there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from extproc.core.catalog import Catalog, Operation
from extproc.core.chain import Attempt
from extproc.core.ending import Progress, Report
from extproc.core.identity import Caller, KeyRecord
from extproc.core.ledger import HOLD_MS, KEEP_MS, Account, AccountKind
from extproc.core.pricing import FREE, Terms, Usage
from extproc.core.quote import Quote
from extproc.core.scale import Scale


@dataclass(frozen=True, slots=True)
class Task:
    """One task, by the vendor's id, with the request that it was made for: its hold, its quote, and who made it.

    `units` is how much of what it is priced by the vendor has promised.
    """

    task_id: str
    hold_id: str
    channel: str
    quote: Quote
    units: int
    attempts: int = 1

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.quote.owner

    @property
    def forget_ms(self) -> int:
        """When it need not be known any more: a report of it would then be refused as too late."""
        return self.quote.deadline_ms + KEEP_MS

    def is_known_to(self, key: KeyRecord) -> bool:
        """Whether this key may ask about it, being of the same owner and team."""
        return key.owner == self.owner and _teams(key.quotas) == _teams(self.quote.accounts)

    def report(self, progress: Progress, now_ms: int, units: int = 0, doubts: tuple[str, ...] = ()) -> Report:
        """How the request ended that it was made for; `units` is what the vendor counted, 0 for what it promised."""
        counted = units or self.units
        if counted != self.quote.units:
            doubts = (*doubts, f"units {counted}, asked for {self.quote.units}")
        return Report(
            request_id=self.hold_id,
            status=200,
            clean=True,
            channel=self.channel,
            usage=Usage(units=counted),
            usage_whole=True,
            sent_bytes=0,
            attempts=self.attempts,
            duration_ms=now_ms - self.quote.held_ms,
            doubts=doubts,
            task=progress,
        )


def _teams(accounts: Iterable[Account]) -> list[Account]:
    return [account for account in accounts if account.kind is AccountKind.TEAM]


class Tasks(Protocol):
    """Where tasks are written down. Raises `LedgerUnavailable` when it does not answer."""

    async def add(self, task: Task) -> bool:
        """Write one down, until `forget_ms`; False when its owner has another one with this id."""
        ...

    async def find(self, owner: str, task_id: str) -> Task | None:
        """The owner's task with this id."""
        ...


def attempt_for(task: Task, catalog: Catalog) -> Attempt | None:
    """The one channel that knows of it, drained or not; None when it is there no more."""
    channel, line = catalog.channels.get(task.channel), task.quote.lines[task.channel]
    group = catalog.groups.get(line.group)
    shown = bool(group and group.show_channel)
    return Attempt(channel, line.group, line.multiplier_ppm, line.vendor_model, shown) if channel else None


def question_quote(
    task: Task, caller: Caller, accounts: tuple[Account, ...], operation: Operation, revision: str, now_ms: int
) -> Quote:
    """The quote of a question about a task: it costs nothing, and is the caller's, who need not have made the task."""
    return Quote(
        owner=caller.key.owner,
        key_id=caller.key.key_id,
        key_prefix=caller.key.prefix,
        accounts=accounts,
        group=caller.key.group,
        model=task.quote.model,
        operation=operation.name,
        generates=False,
        stream=False,
        revision=revision,
        text_bytes=0,
        input_tokens=0,
        output=Scale(0, 1, 0, 0),
        hold_nano=0,
        held_ms=now_ms,
        deadline_ms=now_ms + HOLD_MS,
        terms=Terms(FREE),
        lines={task.channel: task.quote.lines[task.channel]},
    )
