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
from extproc.core.ledger import UNLIMITED

MOST = 50
"""Changes shown where nothing else is asked for."""

_OF_ITSELF = {"revision"}
"""What changes with every change."""

_NOTHING: tuple[object, ...] = ("", [], {}, None, 0)
"""What need not be told of something new."""

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
    """What there was not before is told by its value, what is another now as old → new; objects by what is in them."""
    told = []
    for name in {**before, **after} if after else ():
        was, now = before.get(name), after.get(name)
        if name in _OF_ITSELF or was == now:
            continue
        if isinstance(was, dict) or isinstance(now, dict):
            told += [f"{_words(name)} {each}" for each in _members(was or {}, now or {})]
        elif was is None:
            told += [f"{_words(name)} {_shown(name, now)}"] * (now not in _NOTHING)
        else:
            told.append(f"{_words(name)} {_shown(name, was)} → {_shown(name, now)}")
    return told


def _members(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    told = [
        f"{name}: {' '.join(_differences(was.get(name, {}), now[name]))}" for name in now if now[name] != was.get(name)
    ]
    return told + [f"{name}: removed" for name in was if name not in now]


def _read(value: str) -> dict[str, Any]:
    read = text.loads(value) if value else {}
    return read if isinstance(read, dict) else {"value": read}


def _words(name: str) -> str:
    return name.removesuffix("_nano").removesuffix("_ms").replace("_", " ")


def _shown(name: str, value: object) -> str:
    if isinstance(value, int) and name.endswith("_nano"):
        return "none" if value == UNLIMITED else money(value)
    if isinstance(value, int) and value and name.endswith("_ms"):
        return shown_time(value)
    return value if isinstance(value, str) and value else text.dumps(value, ensure_ascii=False)
