"""`tollgate keys`: make, list and disable API keys."""

import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from extproc.cli import options
from extproc.cli.accounts import amount
from extproc.cli.printing import console, money, print_json, print_table
from extproc.cli.store import with_redis
from extproc.config.load import load
from extproc.core import identity
from extproc.core.catalog import Catalog
from extproc.core.identity import KeyRecord
from extproc.core.ledger import DEFAULT_MAX_LIVE
from extproc.errors import ConfigError, TollgateError
from extproc.settings import Settings, load_pepper
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring

_PER_MINUTE = "0 for no limit; not given: as the group says."

app = typer.Typer(help="API keys.", no_args_is_help=True)


@app.command("create")
def create(
    owner: Annotated[str, typer.Option(help="Whose money it is.")],
    group: Annotated[str, typer.Option(help="The group that decides models, channels and multiplier.")] = "default",
    fallback: Annotated[list[str] | None, typer.Option(help="A group to move to when the first cannot serve.")] = None,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    team: Annotated[str, typer.Option(help="The team it belongs to, whose owner pays.")] = "",
    member: Annotated[str, typer.Option(help="The member of the team whose quota counts.")] = "",
    cap: Annotated[str, typer.Option(help="Lifetime cap in USD, 0 for none.")] = "0",
    monthly_limit: Annotated[str, typer.Option(help="Limit for each calendar month in USD, 0 for none.")] = "0",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = DEFAULT_MAX_LIVE,
    requests_per_minute: Annotated[int | None, typer.Option(min=0, help=_PER_MINUTE)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=0, help=_PER_MINUTE)] = None,
    expires_days: Annotated[int, typer.Option(min=0, help="Days until the key expires, 0 for never.")] = 0,
    config: options.Config = options.CONFIG,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Make a key and print it: this once, and never again."""
    catalog = _catalog_with(config, [group, *(fallback or [])])
    if member and not team:
        raise ConfigError("--member needs --team: a member's quota is a part of a team's")
    expiry = datetime.now(UTC) + timedelta(days=expires_days)
    plaintext = identity.new_plaintext()
    record = KeyRecord(
        "key_" + secrets.token_hex(8),
        owner,
        plaintext[: identity.PREFIX_LENGTH],
        name,
        group,
        fallback_groups=tuple(fallback or ()),
        team=team,
        member=member,
        cap_nano=amount(cap, least=0),
        month_limit_nano=amount(monthly_limit, least=0),
        max_live=concurrency,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        expires_ms=int(expiry.timestamp() * 1000) if expires_days else 0,
    )

    async def work(connection: Connection, settings: Settings) -> None:
        keyring = RedisKeyring(connection)
        _require_tier(catalog, (await keyring.owner(owner)).tier, record)
        await keyring.create(record, identity.digest(load_pepper(settings), plaintext))

    with_redis(data, redis, work)
    if json:
        print_json({"key": plaintext, **_shown(record)})
        return
    console.print(plaintext, markup=False)
    console.print(f"Key {record.key_id} of {owner}, group {group}. It is shown only now: keep it.", style="dim")


@app.command("list")
def list_keys(
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """List keys: their prefix, never more."""
    found = with_redis(data, redis, lambda connection, _settings: RedisKeyring(connection).list(owner))
    if json:
        print_json([_shown(record) for record in found])
        return
    rows = [
        {
            "id": record.key_id,
            "prefix": record.prefix + "…",
            "owner": record.owner,
            "group": " → ".join(record.groups),
            "name": record.name,
            "team": "/".join(filter(None, (record.team, record.member))),
            "cap": money(record.cap_nano) if record.cap_nano else "none",
            "monthly": money(record.month_limit_nano) if record.month_limit_nano else "none",
            "status": record.status.value,
        }
        for record in found
    ]
    print_table(rows, "There are no keys.")


@app.command("disable")
def disable(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Disable a key: dead from its next request on."""
    record = with_redis(data, redis, lambda connection, _settings: RedisKeyring(connection).disable(key_id))
    if record is None:
        raise TollgateError(f"there is no key {key_id}; `tollgate keys list` shows those there are")
    if json:
        print_json(_shown(record))
    else:
        console.print(f"Key {record.key_id} ({record.prefix}…) of {record.owner} is disabled.", markup=False)


def _catalog_with(config: Path, groups: list[str]) -> Catalog:
    catalog = load(config, os.environ, require_credentials=False).catalog
    for group in groups:
        if group not in catalog.groups:
            known = ", ".join(sorted(catalog.groups))
            raise ConfigError(f"there is no group {group!r} in {config}; there are: {known}")
    return catalog


def _require_tier(catalog: Catalog, tier: str, record: KeyRecord) -> None:
    for group in record.groups:
        if not catalog.allows(tier, group):
            raise TollgateError(
                f"{record.owner} has the tier {tier}, whose keys may not have the group {group}; "
                f"`tollgate owners set {record.owner} --tier …` gives another"
            )


def _shown(record: KeyRecord) -> dict[str, object]:
    return {
        "id": record.key_id,
        "prefix": record.prefix,
        "owner": record.owner,
        "name": record.name,
        "group": record.group,
        "fallback_groups": list(record.fallback_groups),
        "team": record.team,
        "member": record.member,
        "cap_nano": record.cap_nano,
        "month_limit_nano": record.month_limit_nano,
        "concurrency": record.max_live,
        "requests_per_minute": record.requests_per_minute,
        "tokens_per_minute": record.tokens_per_minute,
        "expires_ms": record.expires_ms,
        "status": record.status.value,
        "revision": record.revision,
    }
