"""What commands print: a table for a person, JSON for a script."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from google.protobuf.message import Message
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from extproc.core.money import format_usd
from extproc.settings import read_currency

console = Console(highlight=False, soft_wrap=True)
errors = Console(highlight=False, soft_wrap=True, stderr=True)
"""For what is no part of the answer: questions, progress, hints."""

MAX_WIDTH = 10_000

_NUMBERS = {
    *("balance", "held", "used", "limit", "cap", "count", "nano", "USD", "charged", "recomputed", "monthly", "quota"),
    *("available", "cost", "requests", "failed", "input", "cached", "output", "amount", "ms", "team quota"),
}
"""The columns whose numbers stand below one another."""

_STYLES = {
    **dict.fromkeys(("active", "operator"), "green"),
    **dict.fromkeys(("suspended", "disabled", "deleted"), "red"),
}


def money(nano: int) -> str:
    """An amount for a person: in USD, and beside it in the deployment's currency, if it has one."""
    currency = read_currency()
    return currency.beside(nano) if currency else format_usd(nano)


def plain(message: Message) -> dict[str, object]:
    """A message for JSON: each field by its name in the contract, numbers as numbers, null for what is absent."""
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_line(value: object) -> None:
    """One JSON document in one line, at once: for what has no end."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say(text: str, style: str | None = None) -> None:
    """A sentence on standard output."""
    console.print(clean(text), style=style)


def hint(text: str) -> None:
    """A sentence beside the answer."""
    errors.print(clean(text), style="dim")


def working(what: str) -> AbstractContextManager[object]:
    """What is under way, for a person who waits at a terminal."""
    return errors.status(what) if errors.is_terminal else nullcontext()


def clean(text: str) -> Text:
    """Text as it is: no markup in it counts, and what would steer the terminal is made visible."""
    return Text("".join(each if each.isprintable() or each == "\n" else "�" for each in text))


def print_table(rows: Sequence[Mapping[str, str]], empty: str) -> None:
    """Rows with the same columns, or a line that says there are none."""
    if not rows:
        console.print(empty)
        return
    print_whole(table_of(rows))


def table_of(rows: Sequence[Mapping[str, str]]) -> Table:
    """The table of these rows."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in rows[0]:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def print_whole(shown: RenderableType) -> None:
    """A table or a tree wider than the terminal rather than cut: an id that is cut is of no use."""
    Console(width=whole_width(shown), highlight=False).print(shown)


def whole_width(shown: RenderableType) -> int:
    """How many columns of a terminal it takes to show everything."""
    return console.measure(shown, options=console.options.update(max_width=MAX_WIDTH)).maximum


def print_fields(fields: Mapping[str, str]) -> None:
    """One thing: a line for each of its fields that says something."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in fields.items():
        if value:
            table.add_row(Text(name, style="bold"), _cell(value))
    print_whole(table)


def print_list(messages: Iterable[Message]) -> None:
    """Messages for a script."""
    print_json([plain(each) for each in messages])


def _cell(value: str) -> RenderableType:
    cell = clean(value.replace("\n", " "))
    cell.stylize(_STYLES.get(value, ""))
    return cell


def _value(message: Message, field: Any) -> object:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [plain(each) if field.message_type else each for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return plain(value) if field.message_type else value
