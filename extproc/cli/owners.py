"""`tollgate owners`: an owner's tier, discount and standing, which all of the owner's keys share."""

import os
from dataclasses import replace
from typing import Annotated

import typer

from extproc.cli import options
from extproc.cli.printing import console, print_json, print_table
from extproc.cli.store import with_redis
from extproc.config.load import load
from extproc.config.problems import there_is_no
from extproc.core.identity import KeyRecord, OwnerRecord, OwnerStatus
from extproc.core.pricing import ONE
from extproc.errors import TollgateError
from extproc.settings import Settings
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring

app = typer.Typer(help="Owners: whose money it is.", no_args_is_help=True)


@app.command("set")
def set_owner(
    owner: Annotated[str, typer.Argument(help="Whose keys it is for; they need not be there yet.")],
    tier: Annotated[str | None, typer.Option(help="The class that decides which groups the keys may have.")] = None,
    discount: Annotated[
        str | None, typer.Option(help="What the owner pays of every price: 0.9 is ten percent off.")
    ] = None,
    suspended: Annotated[
        bool | None, typer.Option("--suspend/--activate", help="Refuse every request of theirs, or none.")
    ] = None,
    config: options.Config = options.CONFIG,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Change what is said of an owner, and keep what is not named. It holds from the next request on."""
    catalog = load(config, os.environ, require_credentials=False).catalog
    if tier is not None and tier not in catalog.tiers:
        raise TollgateError(there_is_no("tier", tier, catalog.tiers))
    changes: dict[str, object] = {"tier": tier, "discount_ppm": discount and options.factor(discount)}
    if suspended is not None:
        changes["status"] = OwnerStatus.SUSPENDED if suspended else OwnerStatus.ACTIVE
    changes = {name: value for name, value in changes.items() if value is not None}

    async def work(connection: Connection, _settings: Settings) -> tuple[OwnerRecord, list[KeyRecord]]:
        keyring = RedisKeyring(connection)
        return await _change(keyring, owner, changes), list(await keyring.list(owner))

    record, keys = with_redis(data, redis, work)
    if json:
        print_json(_shown(record))
        return
    console.print(_said(record), markup=False)
    for key in keys:
        lost = [group for group in key.groups if not catalog.allows(record.tier, group)]
        if lost:
            what = "is refused" if key.group in lost else f"no longer falls back to {', '.join(lost)}"
            console.print(f"Key {key.key_id} ({key.prefix}…) of group {key.group} {what}.", markup=False)


@app.command("show")
def show(
    owner: Annotated[str | None, typer.Argument(help="Only this one; default: all who have keys.")] = None,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Show tier, discount and standing of owners."""

    async def work(connection: Connection, _settings: Settings) -> list[OwnerRecord]:
        keyring = RedisKeyring(connection)
        return [await keyring.owner(name) for name in ([owner] if owner else await keyring.owners())]

    found = with_redis(data, redis, work)
    if json:
        print_json([_shown(record) for record in found])
        return
    rows = [
        {
            "owner": record.owner,
            "tier": record.tier,
            "pays": _share(record.discount_ppm),
            "status": record.status.value,
        }
        for record in found
    ]
    print_table(rows, "There are no owners: an owner begins with their first key.")


async def _change(keyring: RedisKeyring, owner: str, changes: dict[str, object]) -> OwnerRecord:
    while True:
        record = await keyring.owner(owner)
        changed = replace(record, **changes, revision=record.revision + 1)  # type: ignore[arg-type]
        if await keyring.put_owner(changed, replaces=record.revision):
            return changed


def _said(record: OwnerRecord) -> str:
    pays = "every price in full" if record.discount_ppm == ONE else f"{_share(record.discount_ppm)} of every price"
    return f"{record.owner} has the tier {record.tier}, pays {pays} and is {record.status.value}."


def _share(ppm: int) -> str:
    return f"{ppm / 10_000:.4f}".rstrip("0").rstrip(".") + " %"


def _shown(record: OwnerRecord) -> dict[str, object]:
    return {
        "owner": record.owner,
        "tier": record.tier,
        "discount_ppm": record.discount_ppm,
        "status": record.status.value,
        "revision": record.revision,
    }
