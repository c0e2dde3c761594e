"""What commands print: a table for a person, JSON for a script."""

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from extproc.core.money import format_usd
from extproc.settings import read_currency

console = Console(highlight=False, soft_wrap=True)

MAX_WIDTH = 10_000

_NUMBERS = {"balance", "held", "used", "limit", "cap", "count", "nano", "USD", "charged", "recomputed"}
"""The columns whose numbers stand below one another."""


def money(nano: int) -> str:
    """An amount for a person: in USD, and beside it in the deployment's currency, if it has one."""
    currency = read_currency()
    return currency.beside(nano) if currency else format_usd(nano)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Mapping[str, str]], empty: str) -> None:
    """Rows with the same columns, or a line that says there are none."""
    if not rows:
        console.print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in rows[0]:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    for row in rows:
        table.add_row(*row.values())
    # wider than the terminal rather than cut: an id that is cut is of no use
    whole = console.measure(table, options=console.options.update(max_width=MAX_WIDTH)).maximum
    Console(width=whole, highlight=False).print(table)
