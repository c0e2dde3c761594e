"""The table of the wall."""

from collections.abc import Mapping

from rich.table import Table

from tests.faults.wall import Cell, Row

COLUMNS = ("requests", "whole", "failed", "charged", "expired", "overcharged")


def table(rows: Mapping[Cell, Row]) -> Table:
    """A line for each cell; over- and undercharge in nano-USD against what the vendor put on the wire."""
    found = Table(title="Fault wall", caption="over- and undercharge in nano-USD")
    for name in ("part", "at"):
        found.add_column(name)
    for name in (*COLUMNS, "charged nano", "overcharge", "undercharge"):
        found.add_column(name, justify="right")
    for cell, row in rows.items():
        found.add_row(cell.part, cell.point, *_numbers(row))
    total = Row(*(sum(getattr(row, name) for row in rows.values()) for name in Row.__dataclass_fields__))
    found.add_section()
    found.add_row("all", "", *_numbers(total))
    return found


def _numbers(row: Row) -> list[str]:
    counts = [f"{getattr(row, name):,}" for name in COLUMNS]
    return [*counts, f"{row.charged_nano:,}", f"{row.overcharge_nano:,}", f"{row.undercharge_nano:,}"]
