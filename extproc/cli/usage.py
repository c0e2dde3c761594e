"""`tollgate usage`: what was asked for and what it cost, in sums."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from enum import StrEnum
from itertools import zip_longest
from typing import Annotated

import typer
from rich.bar import Bar
from rich.table import Table

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import options
from extproc.cli.client import Client, examples, operating
from extproc.cli.filters import Which
from extproc.cli.printing import clean, console, money, plain, print_json, print_whole, whole_width

MOST_EMPTY_DAYS = 400
"""Days without a request are shown between those with some, unless that would bury them."""

_NARROWEST_BAR, _GAP = 8, 2


class By(StrEnum):
    """What may be summed by."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"
    MEMBER = "member"
    TEAM = "team"
    GROUP = "group"
    OWNER = "owner"


def _usage(
    client: Client,
    which: Which,
    by: Annotated[By, typer.Option(help="What to sum by.")] = By.DAY,
    json: options.Json = False,
) -> None:
    """Show requests, tokens and costs in sums, with a bar for each cost."""
    found = client.call(pb.GetTotalsRequest(filter=which.filter(), by=by), pb.GetTotalsResponse)
    if json:
        print_json(plain(found))
    elif not found.totals:
        console.print("There were no such requests.")
    else:
        _show(found, by)


usage = operating(_usage)
EPILOG = examples(
    "tollgate usage --since 30d",
    "tollgate usage --by model --owner acme --since 2026-11-01 --until 2026-12-01",
    "tollgate usage --by member --owner acme --team red --json",
)


def _show(found: pb.GetTotalsResponse, by: By) -> None:
    totals = list(_every_day(found.totals) if by is By.DAY else found.totals)
    left = console.width - whole_width(_table(found.all, totals, by, 0)) - _GAP
    print_whole(_table(found.all, totals, by, max(_NARROWEST_BAR, left)))


def _table(together: pb.Total, totals: list[pb.Total], by: By, bar_width: int) -> Table:
    """A row for each sum; with a bar as long as its cost, the longest of this width, where that is not 0."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=len(totals) > 1, footer_style="bold")
    for column, value in _row(together, "in all").items():
        table.add_column(by if column == "of" else column, clean(value), justify="left" if column == "of" else "right")
    dearest = max(1, *(total.cost_nano for total in totals))
    bars = [Bar(dearest, 0, total.cost_nano, width=bar_width) for total in totals] if bar_width else []
    for total, bar in zip_longest(totals, bars):
        table.add_row(*map(clean, _row(total, total.of or "none").values()), *([bar] if bar else []))
    return table


def _every_day(totals: Iterable[pb.Total]) -> Iterator[pb.Total]:
    """The days that are there, and those between them, on which nothing was asked for."""
    before: date | None = None
    for total in totals:
        day = date.fromisoformat(total.of)
        missing = (day - before).days - 1 if before else 0
        if before and missing <= MOST_EMPTY_DAYS:
            yield from (pb.Total(of=str(before + timedelta(days=1 + each))) for each in range(missing))
        yield total
        before = day


def _row(total: pb.Total, of: str) -> dict[str, str]:
    return {
        "of": of,
        "requests": f"{total.requests:,}",
        "failed": f"{total.failed:,}",
        "input": f"{total.input_tokens:,}",
        "cached": f"{total.cache_read_tokens:,}",
        "output": f"{total.output_tokens:,}",
        "cost": money(total.cost_nano),
    }
