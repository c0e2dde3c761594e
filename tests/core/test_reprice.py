"""What a request was charged, recomputed from the configuration that its record names."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from extproc.core.audit import Prices
from extproc.core.ledger import State, UsageEntry
from extproc.core.pricing import Usage
from extproc.core.record import UsageRecord
from extproc.core.reprice import Repriced, reprice
from tests.core import samples
from tests.core.test_audit import CATALOGS, OPERATIONS, RECORD, answers, settled

USED = replace(RECORD, usage=Usage.of(100, output_tokens=10), hold_nano=1_000)
COST = 100 * 2_000 + 10 * 8_000


def repriced(record: UsageRecord | None, *costs: int, state: State = State.REPORTED) -> Repriced | None:
    """The request of this record, charged in these steps, the last of which has the record."""
    entries = [UsageEntry("r", "alice", state, "test", cost, False, 0, "") for cost in costs]
    charged = [(entry, record if number == len(costs) else None) for number, entry in enumerate(entries, start=1)]
    return reprice(Prices(CATALOGS.get, OPERATIONS), charged)


@samples.steady
@given(*answers)
def test_what_was_charged_is_what_is_recomputed(
    catalog: Any, operation: Any, model: str, draw: Any, place: int
) -> None:
    """Whichever channel of whichever chain answered, at either revision: the same to the nano."""
    record = settled(catalog, operation, model, draw, place)
    if record is not None:
        state = State.REPORTED if record.usage_source == "reported" else State.RELEASED
        found = repriced(record, record.cost_nano, state=state)
        assert found is not None
        assert (found.charged_nano, found.recomputed_nano, found.differs) == (record.cost_nano, record.cost_nano, False)


CASES: dict[str, tuple[dict[str, Any], State, list[int], tuple[int | None, bool]]] = {
    "reported, in full, above the hold": ({}, State.REPORTED, [COST], (COST, False)),
    "in steps": ({}, State.REPORTED, [7, COST, -7], (COST, False)),
    "one nano too much": ({}, State.REPORTED, [COST + 1], (COST, True)),
    "partial, at most the hold": ({}, State.PARTIAL, [1_000], (1_000, False)),
    "estimated above the hold": ({}, State.ESTIMATED, [COST], (1_000, True)),
    "released": ({}, State.RELEASED, [0], (0, False)),
    "released, and charged": ({}, State.RELEASED, [5], (0, True)),
    "half off for its owner": ({"discount_ppm": 500_000}, State.REPORTED, [COST // 2], (COST // 2, False)),
    "the rates in the record do not matter": ({"rates": None}, State.REPORTED, [COST], (COST, False)),
    "of another revision": ({"revision": "new"}, State.REPORTED, [COST], (3 * 80_000, True)),
    "a revision nobody knows": ({"revision": "lost"}, State.REPORTED, [COST], (None, False)),
    "a channel its revision has not": ({"channel": "gone"}, State.REPORTED, [COST], (None, True)),
}


@pytest.mark.parametrize(("changes", "state", "costs", "expected"), CASES.values(), ids=CASES)
def test_recomputed(changes: dict[str, Any], state: State, costs: list[int], expected: tuple[int | None, bool]) -> None:
    """By its last record, and against all that it was charged."""
    found = repriced(replace(USED, **changes), *costs, state=state)
    assert found is not None
    assert (found.recomputed_nano, found.differs) == expected
    assert found.charged_nano == sum(costs)


def test_a_request_without_a_record_has_nothing_to_recompute() -> None:
    """Nobody knows what it used."""
    assert repriced(None, 0) is None
