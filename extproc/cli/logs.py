"""`tollgate logs`: requests one by one, as they end, or as a file. What was asked and answered is nowhere kept."""

from pathlib import Path
from typing import Annotated

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import options
from extproc.cli.client import Client, examples, operating
from extproc.cli.exporting import export
from extproc.cli.filters import Which
from extproc.cli.paging import every
from extproc.cli.printing import (
    console,
    hint,
    money,
    plain,
    print_fields,
    print_json,
    print_line,
    print_list,
    print_table,
)
from extproc.cli.values import shown_time, usage_error

MOST = 50
"""Requests shown where nothing else is asked for."""

EPILOG = examples(
    "tollgate logs --since 24h --status 5xx",
    "tollgate logs --owner acme --follow",
    "tollgate logs --since 2026-11-01 --until 2026-12-01 --export november.parquet",
    "tollgate logs REQUEST_ID",
)


def _logs(
    client: Client,
    which: Which,
    request_id: Annotated[str | None, typer.Argument(help="The x-tollgate-request-id of one request.")] = None,
    limit: Annotated[int, typer.Option(help="So many at most, the newest.", min=1)] = MOST,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show requests as they end, until Ctrl-C.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE", help="Write all that match, the oldest first: .csv, .jsonl, .parquet."
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show requests, the newest first: who asked for what, how it ended and what it cost. `trace` has all of one."""
    if sum((request_id is not None, follow, to is not None)) > 1:
        raise usage_error("a request, --follow and --export are one thing each")
    if request_id is not None:
        _one(client.call(pb.GetRequestRequest(request_id=request_id), pb.Request), json)
    elif to is not None:
        export(client, which.filter(), to, json)
    elif follow:
        _follow(client, which.filter(), json)
    else:
        _list(client, which.filter(), limit, json)


logs = operating(_logs)


def _list(client: Client, which: pb.Filter, limit: int, json: bool) -> None:
    found = every(
        lambda size, cursor: client.call(
            pb.ListRequestsRequest(filter=which, page_size=size, cursor=cursor), pb.ListRequestsResponse
        ),
        lambda page: iter(page.requests),
        limit,
    )
    if json:
        print_list(found)
        return
    print_table([_row(request) for request in found], "There were no such requests.")
    if len(found) == limit:
        hint(f"These are the newest {limit}; --limit shows more, --export writes all.")


def _follow(client: Client, which: pb.Filter, json: bool) -> None:
    """A line for each request, made to stand below one another without knowing those that come."""
    if not json:
        hint("Requests as they end; Ctrl-C stops.")
    for request in client.stream(pb.FollowRequestsRequest(filter=which), pb.Request):
        if json:
            print_line(plain(request))
        else:
            row = _row(request)
            console.print("  ".join(value.ljust(_WIDTHS.get(name, 0)) for name, value in row.items()), markup=False)


_WIDTHS = {"when": 23, "request": 36, "owner": 12, "key": 11, "model": 20, "channel": 16, "status": 6, "cost": 16}


def _one(request: pb.Request, json: bool) -> None:
    if json:
        print_json(plain(request))
        return
    said = {name.replace("_", " "): str(value) for name, value in plain(request).items() if name not in _WORDED}
    print_fields({**_row(request), **said, "hold": money(request.hold_nano)})


_WORDED = {*("request_id", "time_ms", "owner", "key_prefix", "model", "channel", "status"), "cost_nano", "hold_nano"}
"""What a row says in its own way."""


def _row(request: pb.Request) -> dict[str, str]:
    return {
        "when": shown_time(request.time_ms),
        "request": request.request_id,
        "owner": request.owner,
        "key": request.key_prefix + "…" if request.key_prefix else "",
        "model": request.model,
        "channel": request.channel,
        "status": str(request.status),
        "input": f"{request.input_tokens:,}",
        "output": f"{request.output_tokens:,}",
        "ms": str(request.duration_ms),
        "cost": money(request.cost_nano),
    }
