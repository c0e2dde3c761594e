"""`tollgate changes`: who changed what, and when."""

import json as text
from typing import Annotated, Any

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import options
from extproc.cli.client import Client, examples, operating
from extproc.cli.paging import every
from extproc.cli.printing import hint, money, print_list, print_table
from extproc.cli.values import shown_time

MOST = 50
"""Changes shown where nothing else is asked for."""

_OF_ITSELF = {"revision"}
"""What changes with every change."""

EPILOG = examples("tollgate changes --owner acme", "tollgate changes --of key_0123456789abcdef --limit 5")


def _changes(
    client: Client,
    owner: Annotated[str, typer.Option(help="Only what is this owner's.")] = "",
    of: Annotated[str, typer.Option(help="Only what was done to the key, team, … of this id.")] = "",
    limit: Annotated[int, typer.Option(help="So many at most, the newest.", min=1)] = MOST,
    json: options.Json = False,
) -> None:
    """Show who changed what, the newest first, and what it was before."""
    found = every(
        lambda size, cursor: client.call(
            pb.ListChangesRequest(owner=owner, of=of, page_size=size, cursor=cursor), pb.ListChangesResponse
        ),
        lambda page: iter(page.changes),
        limit,
    )
    if json:
        print_list(found)
        return
    print_table([_row(change) for change in found], "Nothing was changed.")
    if len(found) == limit:
        hint(f"These are the newest {limit}; --limit shows more.")


changes = operating(_changes)


def _row(change: pb.Change) -> dict[str, str]:
    return {
        "when": shown_time(change.at_ms),
        "who": change.who,
        "what": change.what,
        "owner": change.owner,
        "of": change.of,
        "change": ", ".join(_differences(_read(change.before), _read(change.after))),
    }


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    names = [name for name in {**before, **after} if name not in _OF_ITSELF]
    if not before:
        told = [name for name in names if after[name] not in ("", [], {}, None, 0)]
        return [f"{_words(name)} {_shown(name, after[name])}" for name in told]
    return [
        f"{_words(name)} {_shown(name, before.get(name))} → {_shown(name, after.get(name))}"
        for name in names
        if after and before.get(name) != after.get(name)
    ]


def _read(value: str) -> dict[str, Any]:
    read = text.loads(value) if value else {}
    return read if isinstance(read, dict) else {"value": read}


def _words(name: str) -> str:
    return name.removesuffix("_nano").removesuffix("_ms").replace("_", " ")


def _shown(name: str, value: object) -> str:
    if isinstance(value, int) and name.endswith("_nano"):
        return money(value)
    if isinstance(value, int) and value and name.endswith("_ms"):
        return shown_time(value)
    return value if isinstance(value, str) and value else text.dumps(value, ensure_ascii=False)
